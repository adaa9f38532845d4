ALTER TABLE deletions ADD COLUMN engage_erased_at_ms INTEGER;

ALTER TABLE deletions ADD COLUMN history_erased_at_ms INTEGER;

UPDATE deletions SET engage_erased_at_ms = log_erased_at_ms, history_erased_at_ms = log_erased_at_ms;

CREATE INDEX deletions_in_engage ON deletions (id) WHERE history_erased_at_ms IS NULL;

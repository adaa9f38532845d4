ALTER TABLE outbox ADD COLUMN behind INTEGER NOT NULL DEFAULT 0;
CREATE INDEX outbox_by_turn ON outbox (behind);
CREATE INDEX outbox_behind_by_user ON outbox (user_id) WHERE behind = 1;

-- name: position
-- How far Engage is.
SELECT seq, clock_ms, last_profile FROM position;

-- name: set_position
-- A batch is done.
INSERT OR REPLACE INTO position VALUES (1, ?, ?, ?);

-- name: holders
-- Who has the identifiers with these keys, a JSON list.
SELECT identifier.key, identifier.profile
FROM json_each(?) AS asked CROSS JOIN identifier ON identifier.key = asked.value;

-- name: load_holders
-- The profiles that have identifiers with these keys, a JSON list.
SELECT profile.id, profile.due_at_ms, profile.record
FROM identifier CROSS JOIN profile ON profile.id = identifier.profile
WHERE identifier.key IN (SELECT value FROM json_each(?));

-- name: load
-- The profiles with these numbers, a JSON list.
SELECT profile.id, profile.due_at_ms, profile.record
FROM json_each(?) AS asked CROSS JOIN profile ON profile.id = asked.value;

-- name: earliest_due
-- When the next profile may change by itself.
SELECT min(due_at_ms) FROM profile WHERE due_at_ms IS NOT NULL;

-- name: due
-- The profiles that may have changed by themselves, the longest due first.
SELECT id FROM profile WHERE due_at_ms <= ? ORDER BY due_at_ms, id LIMIT ?;

-- name: add_profile
-- Somebody new.
INSERT INTO profile VALUES (?, ?, ?);

-- name: write_profile
-- What is known of somebody has changed; leaves the index of due instants alone.
UPDATE profile SET record = ?2 WHERE id = ?1;

-- name: write_due_profile
-- The same, with another instant.
UPDATE profile SET due_at_ms = ?2, record = ?3 WHERE id = ?1;

-- name: drop_profile
-- The number stands for nobody any more.
DELETE FROM profile WHERE id = ?;

-- name: set_holder
-- An identifier is somebody's, or somebody else's than before.
INSERT INTO identifier VALUES (?, ?) ON CONFLICT DO UPDATE SET profile = excluded.profile;

-- name: drop_holder
-- Nobody has the identifier any more.
DELETE FROM identifier WHERE key = ?;

-- name: merge_earlier
-- Who went into a profile earlier goes where it goes.
UPDATE merged SET into_id = ?2 WHERE into_id = ?1;

-- name: merge
-- One profile is part of another.
INSERT INTO merged VALUES (?, ?);

-- name: merged
-- All the profiles that are part of others.
SELECT id, into_id FROM merged;

-- name: merged_into
-- The profiles that are part of this one.
SELECT id FROM merged WHERE into_id = ? ORDER BY id;

-- name: where_is
-- What a profile is part of.
SELECT into_id FROM merged WHERE id = ?;

-- name: drop_merged
-- Their numbers stand for nobody any more.
DELETE FROM merged WHERE into_id = ?;

-- name: profiles
-- Some profiles in the order of their numbers.
SELECT id, record FROM profile WHERE id > ? ORDER BY id LIMIT ?;

-- name: profile_count
-- How many people are known.
SELECT count(*) FROM profile;

-- name: computations
-- Every computation there ever was.
SELECT number, key, kind, record FROM computation ORDER BY number;

-- name: save_computation
-- A computation as it is now; its number, key and kind stay for good.
INSERT INTO computation VALUES (?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET record = excluded.record
WHERE key = excluded.key AND kind = excluded.kind;

-- name: leaves
-- The numbers of all leaves.
SELECT text, number FROM leaf;

-- name: add_leaf
-- A leaf that was not there before.
INSERT INTO leaf (text) VALUES (?);

-- name: outbox
-- What the log is to take over next, of what is urgent (0) or what stands behind it (1).
SELECT number, destination, user_id, message_id, raw FROM outbox
WHERE behind = ? ORDER BY number LIMIT ?;

-- name: outbox_count
-- How much that is.
SELECT count(*) FROM outbox;

-- name: add_outbox
-- One more.
INSERT INTO outbox (destination, user_id, message_id, raw, behind) VALUES (?, ?, ?, ?, ?);

-- name: bring_outbox_forward
-- A user's stands behind no more.
UPDATE outbox SET behind = 0 WHERE behind = 1 AND user_id = ?;

-- name: taken
-- The log has it.
DELETE FROM outbox WHERE number = ?;

-- name: forget_outbox
-- A user's.
DELETE FROM outbox WHERE user_id = ?;

-- name: sizes
-- How many members each computation has.
SELECT computation, members FROM size;

-- name: add_size
-- Members who came, less those who left.
INSERT INTO size VALUES (?1, ?2) ON CONFLICT DO UPDATE SET members = members + ?2;

-- name: note_size
-- The same as of this hour.
INSERT INTO size_history SELECT computation, ?2, members FROM size WHERE computation = ?1
ON CONFLICT DO UPDATE SET members = excluded.members;

-- name: size_history
-- How many members a computation had, hour by hour.
SELECT hour_ms, members FROM size_history WHERE computation = ? ORDER BY hour_ms;

-- name: counters
-- What was counted.
SELECT name, n FROM counter;

-- name: count
-- More of it.
INSERT INTO counter VALUES (?1, ?2) ON CONFLICT DO UPDATE SET n = n + ?2;

-- name: violations
-- The last ones, the newest first.
SELECT kind, at_ms, message_id, type, value FROM violation ORDER BY id DESC LIMIT ?;

-- name: add_violation
-- One more.
INSERT INTO violation (kind, at_ms, message_id, type, value) VALUES (?, ?, ?, ?, ?);

-- name: drop_old_violations
-- Only so many are kept.
DELETE FROM violation WHERE id <= (SELECT max(id) FROM violation) - ?;

-- name: forget_violations
-- Those that name an identifier.
DELETE FROM violation WHERE type = ? AND value = ?;

-- name: assigned
-- The profiles of messages that history does not have yet.
SELECT first_seq, n, profiles FROM assigned WHERE first_seq > ? ORDER BY first_seq LIMIT ?;

-- name: add_assigned
-- Those of a batch.
INSERT INTO assigned VALUES (?, ?, ?);

-- name: archived
-- History has them.
DELETE FROM assigned WHERE first_seq <= ?;

-- name: sweep
-- How far the sweep has come, if one is under way.
SELECT after FROM sweep;

-- name: set_sweep
-- The sweep goes on behind this profile.
INSERT OR REPLACE INTO sweep VALUES (1, ?);

-- name: end_sweep
-- Everybody was looked at.
DELETE FROM sweep;

-- name: ids_after
-- The next profiles by number.
SELECT id FROM profile WHERE id > ? ORDER BY id LIMIT ?;

-- name: forgotten
-- The numbers of people who were forgotten.
SELECT profile FROM forgotten;

-- name: add_forgotten
-- One more.
INSERT INTO forgotten VALUES (?);

-- name: drop_leaf
-- No computation has the leaf any more; its number is never used again.
DELETE FROM leaf WHERE number = ?;

-- name: add_backfill
-- A leaf is to be given messages of the past.
INSERT INTO backfill VALUES (?, ?, ?, 0);

-- name: backfills
-- What is to be read from history, job by job.
SELECT job, to_seq, read_to, leaf FROM backfill ORDER BY job, leaf;

-- name: last_backfill
-- The number of the last job.
SELECT coalesce(max(job), 0) FROM backfill;

-- name: backfilled_to
-- How far a job's file was read.
UPDATE backfill SET read_to = ?2 WHERE job = ?1;

-- name: end_backfill
-- The leaf has everything, or is gone.
DELETE FROM backfill WHERE leaf = ?;

-- name: merged_among
-- Those of these profiles, a JSON list, that are part of others.
SELECT merged.id, merged.into_id
FROM json_each(?) AS asked CROSS JOIN merged ON merged.id = asked.value;

-- name: heard
-- Up to where it is known what was told in vain.
SELECT id FROM heard;

-- name: set_heard
-- It is known up to here.
INSERT OR REPLACE INTO heard VALUES (1, ?);

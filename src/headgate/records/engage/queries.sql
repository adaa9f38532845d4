-- name: waiting
-- How many messages wait for the log, by the destination they are for.
SELECT destination, count(*) FROM outbox GROUP BY destination;

-- name: first_due
-- The profiles that may change by themselves next, the earliest first.
SELECT due_at_ms, record FROM profile WHERE due_at_ms IS NOT NULL ORDER BY due_at_ms LIMIT ?;

-- name: newest_profiles
-- Those who were first seen last.
SELECT record FROM profile ORDER BY id DESC LIMIT ?;

-- name: next_key
-- The first identifier from here on, by type and value.
SELECT key FROM identifier WHERE key >= ? ORDER BY key LIMIT 1;

-- name: keys_between
-- The identifiers in a stretch of the order.
SELECT key, profile FROM identifier WHERE key >= ? AND key < ? ORDER BY key LIMIT ?;

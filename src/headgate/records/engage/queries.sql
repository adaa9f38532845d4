-- name: waiting
-- How many messages wait for the log, by the destination they are for.
SELECT destination, count(*) FROM outbox GROUP BY destination;

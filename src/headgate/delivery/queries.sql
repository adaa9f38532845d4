-- name: cursors
-- Where every destination stands.
SELECT destination, seq FROM cursor;

-- name: set_cursor
-- Everything up to :seq is settled.
INSERT INTO cursor VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq;

-- name: breakers
-- How the destinations were doing.
SELECT destination, state FROM breaker;

-- name: set_breaker
-- The destination's state has changed.
INSERT INTO breaker VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state;

-- name: forget_waiting
-- Retry state of messages that are settled by now.
DELETE FROM waiting WHERE destination = ? AND last_seq <= ?;

-- name: add_attempt
-- A request and its answer.
INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_settled
-- An outcome for a set of messages.
INSERT INTO settled
    (destination, outcome, reason, detail, at_ms, attempt_id, n, first_seq, last_seq, positions)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_waiting
-- A set of messages that will be tried again.
INSERT INTO waiting
    (destination, attempts, first_attempt_ms, due_at_ms, first_seq, last_seq, positions)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: add_dead_letter
-- A message that was given up on.
INSERT INTO dead_letter
    (destination, seq, message_id, user_id, reason, at_ms, attempt_id, row)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: last_attempt_id
-- Where the numbering of attempts goes on.
SELECT max(
    coalesce((SELECT max(id) FROM attempt), 0), coalesce((SELECT max(attempt_id) FROM spending), 0)
);

-- name: settled_above
-- What is settled out of order, above the cursor.
SELECT positions FROM settled WHERE destination = :destination AND last_seq > :seq ORDER BY id;

-- name: waiting_above
-- The retry state of what is not settled, oldest row first.
SELECT attempts, first_attempt_ms, due_at_ms, positions
FROM waiting WHERE destination = :destination AND last_seq > :seq ORDER BY id;

-- name: add_spending
-- What an attempt takes out of a budget; once more when it has ended.
INSERT OR REPLACE INTO spending (attempt_id, scope, ended_at_ms, rows) VALUES (?, ?, ?, ?);

-- name: forget_spending
-- What no longer counts against any budget.
DELETE FROM spending WHERE ended_at_ms < ?;

-- name: spending_since
-- What the budgets have to remember across a restart.
SELECT attempt_id, scope, ended_at_ms, rows
FROM spending WHERE ended_at_ms >= :since_ms ORDER BY ended_at_ms;

-- name: settled_around
-- The facts that may hold a message, in the order in which they were recorded.
SELECT outcome, reason, detail, at_ms, attempt_id, positions
FROM settled WHERE destination = :destination AND last_seq >= :seq AND first_seq <= :seq ORDER BY id;

-- name: attempts_around
-- The requests that may hold a message, in order.
SELECT id, started_at_ms, ended_at_ms, url, status, error, answer, request, positions
FROM attempt WHERE destination = :destination AND last_seq >= :seq AND first_seq <= :seq ORDER BY id;

-- name: waiting_around
-- The retry states that may hold a message, in order.
SELECT attempts, first_attempt_ms, due_at_ms, positions
FROM waiting WHERE destination = :destination AND last_seq >= :seq AND first_seq <= :seq ORDER BY id;

-- name: settled_counts
-- How many messages have each outcome. (Replays, which settle twice, are counted by the audit.)
SELECT destination, outcome, reason, sum(n) FROM settled GROUP BY destination, outcome, reason;

-- name: settled_ends
-- Up to where each destination has outcomes.
SELECT destination, max(last_seq) FROM settled GROUP BY destination;

-- name: settled_within
-- The facts that touch a range of messages, in the order in which they were recorded.
SELECT outcome, reason, positions
FROM settled WHERE destination = :destination AND last_seq >= :first_seq AND first_seq <= :last_seq
ORDER BY id;

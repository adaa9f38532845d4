-- name: cursors
-- Where every destination stands.
SELECT destination, seq FROM cursor;

-- name: set_cursor
-- Everything up to :seq is settled.
INSERT INTO cursor VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq;

-- name: standings
-- How the destinations are doing.
SELECT destination, state, trouble, since_ms FROM standing;

-- name: set_standing
-- The destination's state has changed.
INSERT OR REPLACE INTO standing VALUES (?, ?, ?, ?);

-- name: forget_waiting
-- Retry state of messages that are settled by now; kept while some of them may be replayed.
DELETE FROM waiting WHERE destination = ?1 AND last_seq <= ?2
AND NOT EXISTS (SELECT 1 FROM replay WHERE destination = ?1 AND ended_at_ms IS NULL);

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

-- name: count_settled
-- Outcomes by the minute.
INSERT INTO outcome_count VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET n = n + excluded.n;

-- name: tally_settled
-- Outcomes over all time: how often recorded, and how many stand.
INSERT INTO tally VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET recorded = recorded + ?4, standing = standing + ?5;

-- name: add_dead_letter
-- A message that was given up on, perhaps not for the first time.
INSERT OR REPLACE INTO dead_letter VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: drop_dead_letter
-- It was sent again, with success.
DELETE FROM dead_letter WHERE destination = ? AND seq = ?;

-- name: add_replay
-- Messages to be sent again; none at all are sent already.
INSERT INTO replay VALUES (?1, ?2, ?3, ?4, ?5, 0, CASE WHEN ?5 = 0 THEN ?3 END, ?6);

-- name: replay_progress
-- Some of them were settled; the last ones end it.
UPDATE replay SET
    settled = settled + :n,
    ended_at_ms = CASE WHEN settled + :n >= total THEN :at_ms END,
    messages = CASE WHEN settled + :n >= total THEN x'' ELSE messages END
WHERE name = :name AND destination = :destination;

-- name: replays
-- Every replay there was, newest first.
SELECT name, destination, asked_at_ms, criteria, total, settled, ended_at_ms
FROM replay ORDER BY asked_at_ms DESC, name, destination;

-- name: open_replays
-- What is still to be sent again, oldest first.
SELECT name, destination, asked_at_ms, criteria, total, messages
FROM replay WHERE ended_at_ms IS NULL ORDER BY asked_at_ms, name, destination;

-- name: is_replay_known
-- Whether a replay was recorded.
SELECT count(*) FROM replay WHERE name = ? AND destination = ?;

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
INSERT OR REPLACE INTO spending (attempt_id, scope, ended_at_ms, rows, writes_profiles)
VALUES (?, ?, ?, ?, ?);

-- name: forget_spending
-- What no longer counts against any budget.
DELETE FROM spending WHERE ended_at_ms < ?;

-- name: spending_since
-- What the budgets have to remember across a restart.
SELECT attempt_id, scope, ended_at_ms, rows, writes_profiles
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

-- name: tallies
-- Outcomes over all time: how often recorded, and how many stand.
SELECT destination, outcome, reason, recorded, standing FROM tally ORDER BY 1, 2, 3;

-- name: minutes
-- Outcomes by the minute; the range is half-open.
SELECT minute_ms, destination, outcome, reason, n FROM outcome_count
WHERE minute_ms >= :from_ms AND minute_ms < :to_ms ORDER BY 1, 2, 3, 4;

-- name: settled_for
-- The facts behind a figure, newest first; the range is half-open.
SELECT at_ms, detail, positions FROM settled
WHERE destination = :destination AND outcome = :outcome AND reason = :reason
  AND at_ms >= :from_ms AND at_ms < :to_ms
ORDER BY at_ms DESC, id DESC;

-- name: dead_letters
-- Those that fit, newest first; what is null does not matter.
SELECT destination, seq, message_id, user_id, reason, at_ms, attempt_id, row, message
FROM dead_letter
WHERE (:destination IS NULL OR destination = :destination)
  AND (:reason IS NULL OR reason = :reason)
  AND (:user_id IS NULL OR user_id = :user_id)
  AND (:message_id IS NULL OR message_id = :message_id)
  AND (:from_ms IS NULL OR at_ms >= :from_ms)
  AND (:to_ms IS NULL OR at_ms < :to_ms)
ORDER BY at_ms DESC, seq DESC;

-- name: dead_letter_counts
-- How many there are.
SELECT destination, count(*) FROM dead_letter GROUP BY destination;

-- name: dead_letter_reason
-- Why it was given up on.
SELECT reason FROM dead_letter WHERE destination = ? AND seq = ?;

-- name: dead_letter_at
-- One of them.
SELECT message FROM dead_letter WHERE destination = ? AND seq = ?;

-- name: attempt
-- One request.
SELECT id, started_at_ms, ended_at_ms, url, status, error, answer, request
FROM attempt WHERE id = ?;

-- name: settled_ends
-- Up to where each destination has outcomes.
SELECT destination, max(last_seq) FROM settled GROUP BY destination;

-- name: forget_attempts
-- Some requests of messages that the log no longer holds.
DELETE FROM attempt WHERE id IN (
    SELECT id FROM attempt WHERE destination = :destination AND last_seq < :first_seq LIMIT :limit
);

-- name: forget_settled
-- Some outcomes of messages that the log no longer holds.
DELETE FROM settled WHERE id IN (
    SELECT id FROM settled WHERE destination = :destination AND last_seq < :first_seq LIMIT :limit
);

-- name: forget_counts
-- Figures of minutes long gone.
DELETE FROM outcome_count WHERE minute_ms < :before_ms;

-- name: settled_within
-- The facts that touch a range of messages, in the order in which they were recorded.
SELECT outcome, reason, positions
FROM settled WHERE destination = :destination AND last_seq >= :first_seq AND first_seq <= :last_seq
ORDER BY id;

-- name: seen_to
-- The highest number that anything is recorded of.
SELECT max(
    coalesce((SELECT max(seq) FROM cursor), 0),
    coalesce((SELECT max(last_seq) FROM attempt), 0),
    coalesce((SELECT max(last_seq) FROM settled), 0)
);

-- name: erase_letters
-- The dead letters of a user who is forgotten.
DELETE FROM dead_letter WHERE user_id = :user_id AND seq <= :seq;

-- name: attempts_to_erase
-- Some requests that may hold messages up to a number, in order.
SELECT id, destination, first_seq, request FROM attempt
WHERE id > :after_id AND first_seq <= :seq ORDER BY id LIMIT :limit;

-- name: erase_attempt
-- A request without users who are forgotten; its answer may have named them.
UPDATE attempt SET request = :request, answer = x'', error = '' WHERE id = :id;

-- name: erase_details
-- What was said of its messages may have, too.
UPDATE settled SET detail = '' WHERE attempt_id = :id AND detail <> '';

-- name: erase_bare_details
-- What was said of messages that were given up on without a request of their own may quote an answer.
UPDATE settled SET detail = ''
WHERE attempt_id IS NULL AND detail <> '' AND outcome = 'failed' AND first_seq <= :seq;

-- name: erase_troubles
-- A destination's trouble quotes its last answer: only what kind it was stays.
UPDATE standing SET trouble = substr(trouble, 1, instr(trouble, ':') - 1)
WHERE instr(trouble, ':') > 0;

-- name: erase_criteria
-- A replay may have been asked for by the user's name.
UPDATE replay SET criteria = 'of a user who was deleted since' WHERE instr(criteria, :user_id) > 0;

-- name: all_spending
-- What the budgets remember, by user.
SELECT attempt_id, rows FROM spending;

-- name: rename_spending
-- The same, with other names.
UPDATE spending SET rows = ? WHERE attempt_id = ?;

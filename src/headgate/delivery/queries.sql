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

-- name: tally_settled
-- Outcomes over all time: how often recorded, and how many stand.
INSERT INTO tally VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET recorded = recorded + ?4, standing = standing + ?5;

-- name: add_dead_letter
-- A message that was given up on, perhaps not for the first time.
INSERT OR REPLACE INTO dead_letter VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_untold
-- A message of Engage's that its destination will not get.
INSERT INTO untold (seq) VALUES (?);

-- name: forget_untold
-- Those that the log does not hold any more.
DELETE FROM untold WHERE seq < :first_seq;

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

-- name: counted
-- Up to where counts by receipt go, and the run they end in, if there is any.
SELECT counted.seq, settled_id, (SELECT coalesce(max(id), 0) FROM settled), first_seq, minute_ms, is_lost
FROM counted LEFT JOIN run ON first_seq = (SELECT max(first_seq) FROM run);

-- name: runs_from
-- Runs, from the one that holds a message on.
SELECT first_seq, minute_ms, is_lost FROM run
WHERE first_seq >= coalesce((SELECT max(first_seq) FROM run WHERE first_seq <= :seq), 0)
ORDER BY first_seq;

-- name: settled_since
-- Facts that are not counted by receipt yet, in the order in which they were recorded.
SELECT id, destination, outcome, reason, n, first_seq, last_seq, positions
FROM settled WHERE id > :after_id AND id <= :to_id ORDER BY id LIMIT :limit;

-- name: settled_before
-- What had been recorded of a range of messages before a fact, in order.
SELECT outcome, reason, positions
FROM settled
WHERE destination = :destination AND last_seq >= :first_seq AND first_seq <= :last_seq AND id < :id
ORDER BY id;

-- name: received_by_step
-- What was received, by steps of time; the range is half-open.
SELECT minute_ms - minute_ms % :step_ms, workspace_version, source, sum(n)
FROM run JOIN received_count ON run = first_seq
WHERE minute_ms >= :from_ms AND minute_ms < :to_ms GROUP BY 1, 2, 3;

-- name: outcomes_by_step
-- What has become of it, by steps of time; the range is half-open.
SELECT minute_ms - minute_ms % :step_ms, is_lost, destination, outcome, reason, sum(n)
FROM run JOIN outcome_count ON run = first_seq
WHERE minute_ms >= :from_ms AND minute_ms < :to_ms GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) > 0;

-- name: add_run
-- A run begins.
INSERT INTO run VALUES (?, ?, ?);

-- name: count_received
-- Messages of a run.
INSERT INTO received_count VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n;

-- name: count_outcomes
-- Outcomes of messages of a run; a replay takes them back.
INSERT INTO outcome_count VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n;

-- name: set_counted
-- Everything up to here is counted.
UPDATE counted SET seq = ?, settled_id = ?;

-- name: forget_runs
-- Runs that the log no longer holds.
DELETE FROM run WHERE first_seq < :first_seq;

-- name: forget_received
-- The messages of such runs.
DELETE FROM received_count WHERE run < :first_seq;

-- name: forget_outcomes
-- What became of them.
DELETE FROM outcome_count WHERE run < :first_seq;

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

-- name: letter_heads
-- A destination's, without what is in them.
SELECT seq, user_id, reason, at_ms FROM dead_letter WHERE destination = :destination ORDER BY seq;

-- name: letter
-- One of them, in full.
SELECT destination, seq, message_id, user_id, reason, at_ms, attempt_id, row, message
FROM dead_letter WHERE destination = :destination AND seq = :seq;

-- name: failed_for
-- The failures that touch messages from a number on, in the order in which they were recorded.
SELECT detail, positions FROM settled
WHERE destination = :destination AND last_seq >= :first_seq AND outcome = 'failed' ORDER BY id;

-- name: delivered_between
-- How many were delivered between two moments.
SELECT coalesce(sum(n), 0) FROM settled
WHERE destination = :destination AND outcome = 'delivered' AND reason = ''
  AND at_ms BETWEEN :from_ms AND :to_ms;

-- name: last_answer
-- The newest request.
SELECT destination, status, error, ended_at_ms FROM attempt ORDER BY id DESC LIMIT 1;

-- name: next_attempt
-- When something is tried again.
SELECT min(due_at_ms) FROM waiting WHERE destination = :destination AND due_at_ms > :after_ms;

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
-- Some outcomes of messages that the log no longer holds; never the newest, or its id were given again.
DELETE FROM settled WHERE id IN (
    SELECT id FROM settled
    WHERE destination = :destination AND last_seq < :first_seq AND id < (SELECT max(id) FROM settled)
    LIMIT :limit
);

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
    coalesce((SELECT max(last_seq) FROM settled), 0),
    (SELECT seq FROM counted)
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

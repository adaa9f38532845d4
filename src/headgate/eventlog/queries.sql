-- name: insert_block
-- A group commit: durable when the statement returns (autocommit, synchronous FULL).
INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: blocks_from
-- The blocks that hold messages numbered :next and above, in order, behind the one that begins at :read.
SELECT first_seq, n, received_at_ms, format, prev_crc, crc, columns, payload
FROM block
WHERE first_seq >= coalesce((SELECT max(first_seq) FROM block WHERE first_seq <= :next), :next)
  AND first_seq + n > :next
  AND first_seq > :read
ORDER BY first_seq
LIMIT :limit;

-- name: last_block
-- The end of the segment, whose numbers are all below :next_segment: where numbering and the chain go on.
SELECT first_seq, n, crc FROM block WHERE first_seq < :next_segment ORDER BY first_seq DESC LIMIT 1;

-- name: probe
-- A write of one row, to see whether writes work.
UPDATE probe SET times = times + 1 WHERE id = 1;

-- name: insert_block
-- A group commit: durable when the statement returns (autocommit, synchronous FULL).
INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_seal
-- What a sealed segment's blocks were before they were made anew.
INSERT INTO seal VALUES (?, ?, ?, ?, ?);

-- name: seal
-- The one row of a sealed segment.
SELECT first_seq, last_seq, prev_crc, end_crc, inner_crc FROM seal;

-- name: blocks_from
-- The blocks that hold messages numbered :next and above, in order, behind the one that begins at :read.
SELECT first_seq, n, received_at_ms, format, prev_crc, crc, columns, payload
FROM block
WHERE first_seq >= coalesce((SELECT max(first_seq) FROM block WHERE first_seq <= :next), :next)
  AND first_seq + n > :next
  AND first_seq > :read
ORDER BY first_seq
LIMIT :limit;

-- name: end
-- The end of the segment, whose numbers are all below :next_segment: where numbering and the chain go on.
-- A message takes 21 bytes of the columns, so a damaged n never makes the segment look endless.
SELECT first_seq, first_seq + max(min(n, length(columns) / 21), 1) - 1, crc
FROM block
WHERE first_seq < :next_segment
ORDER BY first_seq DESC
LIMIT 1;

-- name: last_blocks
-- The blocks from the end of the segment backwards.
SELECT first_seq, n, received_at_ms, format, prev_crc, crc, columns, payload
FROM block
WHERE first_seq < :next_segment
ORDER BY first_seq DESC;

-- name: columns
-- What a search needs of the blocks that hold anything received from :since_ms on; payloads stay unread.
SELECT first_seq, n, received_at_ms, columns
FROM block
WHERE first_seq < :next_segment AND received_at_ms >= :since_ms
ORDER BY first_seq;

-- name: probe
-- A write of one row, to see whether writes work.
UPDATE probe SET times = times + 1 WHERE id = 1;

-- name: version
-- Which Headgate's log this is.
PRAGMA user_version;

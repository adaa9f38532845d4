-- name: messages
-- What a segment of the log holds.
SELECT coalesce(sum(n), 0) FROM block;

-- name: outcomes
-- What delivery has recorded, in any schema that it ever had.
SELECT coalesce(sum(n), 0) FROM settled WHERE outcome <> 'replayed';

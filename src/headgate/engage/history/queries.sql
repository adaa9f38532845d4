-- name: holders_of
-- Who has an identifier whose key lies between these two, in one text: a million rows one by one take long.
SELECT group_concat(profile) FROM identifier WHERE key >= ? AND key < ?;

-- name: ids
-- Everybody's number, in one text for the same reason.
SELECT group_concat(id) FROM profile;

-- name: leaves
-- The numbers that stand for leaves.
SELECT text, number FROM leaf;

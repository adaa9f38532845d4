-- name: holders_of
-- Who has an identifier whose key lies between these two, in one text: a million rows one by one take long.
SELECT group_concat(profile) FROM identifier WHERE key >= ? AND key < ?;

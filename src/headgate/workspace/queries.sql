-- name: current
-- The newest version.
SELECT version, at_ms, actor, document FROM versions ORDER BY version DESC LIMIT 1;

-- name: at
-- One version.
SELECT version, at_ms, actor, document FROM versions WHERE version = :version;

-- name: documents
-- What every version said, the newest first.
SELECT document FROM versions ORDER BY version DESC;

-- name: add_version
-- A new version.
INSERT INTO versions (version, at_ms, actor, document) VALUES (:version, :at_ms, :actor, :document);

-- name: applied_file
-- The digest of the file that serve applied last.
SELECT digest FROM applied_file WHERE id = 1;

-- name: remember_applied_file
-- Replace that digest.
INSERT INTO applied_file (id, digest) VALUES (1, :digest)
ON CONFLICT (id) DO UPDATE SET digest = excluded.digest;

-- name: destinations_at
-- The destinations of one version and their ids.
SELECT slug, id FROM destinations
WHERE first_version <= :version AND (last_version IS NULL OR last_version >= :version)
ORDER BY id;

-- name: destination_history
-- Every destination there ever was.
SELECT id, slug, first_version, last_version FROM destinations ORDER BY id;

-- name: add_destination
-- A slug appears: a new id.
INSERT INTO destinations (slug, first_version) VALUES (:slug, :version);

-- name: end_destination
-- A slug is gone: its id ends with the last version that had it.
UPDATE destinations SET last_version = :version WHERE slug = :slug AND last_version IS NULL;

-- name: suppressed
-- Who is suppressed.
SELECT user_id FROM suppressed;

-- name: suppressions
-- Who is suppressed, since when, by whom.
SELECT user_id, at_ms, actor FROM suppressed ORDER BY at_ms, user_id;

-- name: suppression_change
-- The number of the newest change.
SELECT coalesce(max(id), 0) FROM suppression_changes;

-- name: suppression_changes_of
-- What was changed for one user, in order.
SELECT user_id, at_ms, actor, suppressed FROM suppression_changes WHERE user_id = :user_id ORDER BY id;

-- name: suppress
-- A user joins the list; nothing happens when they are on it.
INSERT INTO suppressed (user_id, at_ms, actor) VALUES (:user_id, :at_ms, :actor)
ON CONFLICT DO NOTHING;

-- name: unsuppress
-- A user leaves the list.
DELETE FROM suppressed WHERE user_id = :user_id;

-- name: add_suppression_change
-- The list was changed.
INSERT INTO suppression_changes (at_ms, actor, user_id, suppressed)
VALUES (:at_ms, :actor, :user_id, :suppressed);

-- name: deletions
-- Every deletion, in order.
SELECT id, user_id, asked_at_ms, actor, cutoff_seq, facts_erased_at_ms, log_erased_at_ms,
  engage_erased_at_ms, history_erased_at_ms
FROM deletions ORDER BY id;

-- name: open_deletions
-- The deletions that are not through in the log, in order.
SELECT id, user_id, asked_at_ms, actor, cutoff_seq, facts_erased_at_ms, log_erased_at_ms,
  engage_erased_at_ms, history_erased_at_ms
FROM deletions WHERE log_erased_at_ms IS NULL ORDER BY id;

-- name: deletions_in_engage
-- The deletions that are not through in Engage, in order.
SELECT id, user_id, asked_at_ms, actor, cutoff_seq, facts_erased_at_ms, log_erased_at_ms,
  engage_erased_at_ms, history_erased_at_ms
FROM deletions WHERE history_erased_at_ms IS NULL ORDER BY id;

-- name: add_deletion
-- A user is to be forgotten.
INSERT INTO deletions (user_id, asked_at_ms, actor) VALUES (:user_id, :at_ms, :actor);

-- name: take_up_deletions
-- The messages to be erased are those up to here.
UPDATE deletions SET cutoff_seq = :seq WHERE log_erased_at_ms IS NULL AND cutoff_seq IS NULL;

-- name: facts_erased
-- Delivery holds nothing of the user any more.
UPDATE deletions SET facts_erased_at_ms = :at_ms WHERE id = :id AND facts_erased_at_ms IS NULL;

-- name: log_erased
-- The log holds nothing of the user any more.
UPDATE deletions SET log_erased_at_ms = :at_ms WHERE id = :id AND log_erased_at_ms IS NULL;

-- name: engage_erased
-- Engage knows nothing of the user any more.
UPDATE deletions SET engage_erased_at_ms = :at_ms WHERE id = :id AND engage_erased_at_ms IS NULL;

-- name: history_erased
-- Nor does its history.
UPDATE deletions SET history_erased_at_ms = :at_ms
WHERE id = :id AND engage_erased_at_ms IS NOT NULL AND history_erased_at_ms IS NULL;

-- name: remote_deletions
-- What became of every deletion at the destinations.
SELECT deletion_id, user_id, scope, state, at_ms, request_id, answer, attempts, failing_since_ms, due_at_ms
FROM remote_deletions JOIN deletions ON id = deletion_id ORDER BY deletion_id, scope;

-- name: open_remote_deletions
-- What has not been brought to an end at the destinations.
SELECT deletion_id, user_id, scope, state, at_ms, request_id, answer, attempts, failing_since_ms, due_at_ms
FROM remote_deletions JOIN deletions ON id = deletion_id
WHERE state IN ('no key', 'asking', 'pending') ORDER BY deletion_id, scope;

-- name: add_remote_deletion
-- A destination account is to be asked; nothing happens when it has been.
INSERT INTO remote_deletions
  (deletion_id, scope, state, at_ms, request_id, answer, attempts, failing_since_ms, due_at_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: set_remote_deletion
-- What became of a deletion at one destination account.
INSERT OR REPLACE INTO remote_deletions
  (deletion_id, scope, state, at_ms, request_id, answer, attempts, failing_since_ms, due_at_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: accounts
-- Everybody who can sign in.
SELECT id, name, role, made_at_ms FROM accounts ORDER BY id;

-- name: account
-- One of them.
SELECT id, name, role, made_at_ms FROM accounts WHERE id = :id;

-- name: account_by_name
-- One of them and the hash of the password.
SELECT id, name, role, made_at_ms, password FROM accounts WHERE folded = :folded;

-- name: owners
-- How many there are.
SELECT count(*) FROM accounts WHERE role = 'owner';

-- name: add_account
-- Somebody new.
INSERT INTO accounts (name, folded, role, password, made_at_ms)
VALUES (:name, :folded, :role, :password, :at_ms);

-- name: set_role
-- Somebody may do more or less from now on.
UPDATE accounts SET role = :role WHERE id = :id;

-- name: set_password
-- Another password.
UPDATE accounts SET password = :password WHERE id = :id;

-- name: remove_account
-- Somebody can no longer sign in.
DELETE FROM accounts WHERE id = :id;

-- name: first_link
-- The link that makes the first owner.
SELECT code FROM links WHERE code != '';

-- name: link
-- A link that has not ended.
SELECT role, account FROM links WHERE hash = :hash AND coalesce(ends_at_ms > :now_ms, 1);

-- name: add_link
-- A new link.
INSERT INTO links (hash, code, role, account, ends_at_ms)
VALUES (:hash, :code, :role, :account, :ends_at_ms);

-- name: remove_link
-- A link is used up.
DELETE FROM links WHERE hash = :hash;

-- name: remove_links_of
-- Links to an account end with it, and the earlier ones with a new one.
DELETE FROM links WHERE account = :account;

-- name: remove_old_links
-- What nobody can use any more.
DELETE FROM links WHERE ends_at_ms <= :now_ms;

-- name: person
-- Who is signed in with this session.
SELECT id, name, role, accounts.made_at_ms, sessions.made_at_ms, used_at_ms
FROM sessions JOIN accounts ON id = account WHERE hash = :hash;

-- name: sessions
-- Everything that is signed in, last used first.
SELECT account, agent, made_at_ms, used_at_ms FROM sessions ORDER BY used_at_ms DESC, hash;

-- name: add_session
-- Somebody signs in.
INSERT INTO sessions (hash, account, agent, made_at_ms, used_at_ms)
VALUES (:hash, :account, :agent, :at_ms, :at_ms);

-- name: session_used
-- A session was used.
UPDATE sessions SET used_at_ms = :at_ms WHERE hash = :hash;

-- name: remove_session
-- Somebody signs out.
DELETE FROM sessions WHERE hash = :hash;

-- name: remove_sessions_of
-- Somebody is signed out, everywhere but in one place.
DELETE FROM sessions WHERE account = :account AND hash != :but;

-- name: remove_old_sessions
-- What has ended by itself.
DELETE FROM sessions WHERE used_at_ms <= :used_ms OR made_at_ms <= :made_ms;

-- name: tokens
-- Every token.
SELECT id, name, scope, made_by, made_at_ms, used_at_ms, used_from FROM tokens ORDER BY id;

-- name: token
-- The token of this hash.
SELECT id, name, scope, made_by, made_at_ms, used_at_ms, used_from FROM tokens WHERE hash = :hash;

-- name: add_token
-- A new token.
INSERT INTO tokens (hash, name, scope, made_by, made_at_ms, used_from)
VALUES (:hash, :name, :scope, :made_by, :at_ms, '');

-- name: token_used
-- A token was used.
UPDATE tokens SET used_at_ms = :at_ms, used_from = :used_from WHERE id = :id;

-- name: remove_token
-- A token is revoked.
DELETE FROM tokens WHERE id = :id;

-- name: add_access_change
-- Something about access was changed.
INSERT INTO access_changes (at_ms, actor, what, subject, before, after)
VALUES (:at_ms, :actor, :what, :subject, :before, :after);

-- name: access_changes_before
-- Changes of access from this one back, newest first.
SELECT id, at_ms, actor, what, subject, before, after FROM access_changes WHERE id <= :id
ORDER BY id DESC LIMIT :limit;

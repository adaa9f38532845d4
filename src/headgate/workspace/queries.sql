-- name: current
-- The newest version.
SELECT version, at_ms, actor, document FROM versions ORDER BY version DESC LIMIT 1;

-- name: at
-- One version.
SELECT version, at_ms, actor, document FROM versions WHERE version = :version;

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

-- name: live
-- The generations that readers see of some models.
SELECT name, generation, version FROM projections WHERE name = ANY ($1) AND live

-- name: not_live
-- What unfinished rebuilds left.
SELECT generation FROM projections WHERE name = $1 AND NOT live

-- name: add
-- The next generation, which nobody sees yet.
INSERT INTO projections (name, generation, version)
SELECT $1, coalesce(max(generation), 0) + 1, $2 FROM projections WHERE name = $1
RETURNING generation

-- name: show
-- From now on readers see this one.
UPDATE projections SET live = true WHERE name = $1 AND generation = $2

-- name: remove
-- Its checkpoints go with it.
DELETE FROM projections WHERE name = $1 AND generation = $2

-- name: lock_generations
-- No checkpoint row can be added to a locked generation.
SELECT generation FROM projections WHERE name = $1 ORDER BY generation FOR UPDATE

-- name: lock_checkpoints
-- No projector can move on, and whatever has moved on is committed and seen.
SELECT generation, shard, position FROM checkpoints
 WHERE name = $1 ORDER BY generation, shard FOR UPDATE

-- name: checkpoint
-- How far one shard of a generation has come; null where it has not begun.
SELECT position FROM checkpoints WHERE name = $1 AND generation = $2 AND shard = $3

-- name: live_generations
-- What readers see.
SELECT name, generation FROM projections WHERE live ORDER BY name

-- name: behind
-- The shards that generations ($1, $2) are behind on, and the next range of each; the log is read up
-- to `stop` only, since a later statement of the same transaction may see more of it. The sizes are of
-- one moment, so that models that have come to the end of the log stand at the same place.
SELECT s.shard, m.name, coalesce(c.position, 0) AS start, c.position IS NULL AS is_new,
       least(s.position, coalesce(c.position, 0) + $3) AS stop, s.position AS size
  FROM unnest($1::text[], $2::integer[]) AS m (name, generation)
 CROSS JOIN shards AS s
  LEFT JOIN checkpoints AS c
    ON c.name = m.name AND c.generation = m.generation AND c.shard = s.shard
 WHERE s.position > coalesce(c.position, 0)
 ORDER BY s.shard, m.name

-- name: add_checkpoint
-- Where there is none yet; nothing if the generation is gone, or goes while this waits.
INSERT INTO checkpoints (name, generation, shard)
SELECT name, generation, $3 FROM projections WHERE name = $1 AND generation = $2
   FOR KEY SHARE
ON CONFLICT DO NOTHING

-- name: advance
-- Compare and set: of two projectors one comes first, and the other finds no row.
UPDATE checkpoints SET position = $5
 WHERE name = $1 AND generation = $2 AND shard = $3 AND position = $4
RETURNING position

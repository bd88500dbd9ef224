-- name: tiled
-- The last tile of the lowest level.
SELECT index, length(hashes) AS bytes FROM tiles
 WHERE shard = $1 AND level = 0 ORDER BY index DESC LIMIT 1;

-- name: tiles
-- Certain tiles.
SELECT t.level, t.index, t.hashes
  FROM unnest($2::integer[], $3::bigint[]) AS wanted (level, index)
  JOIN tiles t USING (level, index)
 WHERE t.shard = $1;

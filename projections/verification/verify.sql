-- name: shards
-- Every shard that has a row or, though it should not, only entries.
WITH RECURSIVE logged AS (
    (SELECT shard FROM log ORDER BY shard LIMIT 1)
    UNION ALL
    SELECT (SELECT shard FROM log WHERE shard > logged.shard ORDER BY shard LIMIT 1)
      FROM logged WHERE logged.shard IS NOT NULL
)
SELECT shard, bool_or(has_row) AS has_row
  FROM (SELECT shard, true AS has_row FROM shards
        UNION ALL SELECT shard, false FROM logged WHERE shard IS NOT NULL) AS every
 GROUP BY shard ORDER BY shard;

-- name: guards
-- The tables of the log, which may be partitioned, whose trigger is not on; and which of its
-- constraints are there.
SELECT ARRAY (SELECT part::text
                FROM (SELECT 'log'::regclass UNION SELECT relid FROM pg_partition_tree('log'))
                     AS parts (part)
               WHERE NOT EXISTS (SELECT FROM pg_trigger
                                  WHERE tgrelid = part AND tgname = 'log_is_append_only'
                                    AND tgenabled IN ('O', 'A'))
               ORDER BY 1) AS changeable,
       ARRAY (SELECT conname::text FROM pg_constraint
               WHERE conrelid = 'log'::regclass AND convalidated) AS constraints;

-- name: freeze
-- The shard's row, and where its log begins and ends.
SELECT next_offset, last_record, position, published, tree, last_at,
       (SELECT min(l.position) FROM log l WHERE l.shard = s.shard) AS first,
       (SELECT max(l.position) FROM log l WHERE l.shard = s.shard) AS last
  FROM shards s WHERE shard = $1;

-- name: due
-- The timers of a shard.
SELECT at, wallet_id FROM due WHERE shard = $1;

-- name: snapshots
-- Stored states of this shape.
SELECT wallet_id, version, state
  FROM snapshots WHERE shard = $1 AND fingerprint = $2;

-- name: undecided_aside
-- What is said to have been set aside, though its record is not decided yet.
SELECT kind, record_offset, s.next_offset
  FROM (SELECT shard, "offset" AS record_offset, 'dead letter' AS kind FROM dead_letters
         UNION ALL
        SELECT shard, "offset", 'forward' FROM forwards) AS aside
  JOIN shards s USING (shard)
 WHERE shard = $1 AND record_offset >= s.next_offset
 ORDER BY record_offset;

-- name: aside
-- What was set aside in a range of offsets.
SELECT 'dead letter' AS kind, "offset" AS record_offset, NULL::integer AS home,
       NULL::bigint AS home_offset
  FROM dead_letters WHERE shard = $1 AND "offset" BETWEEN $2 AND $3
 UNION ALL
SELECT 'forward', "offset", home, home_offset
  FROM forwards WHERE shard = $1 AND "offset" BETWEEN $2 AND $3
 ORDER BY record_offset;

-- name: count_aside
-- How much was set aside below an offset.
SELECT (SELECT count(*) FROM dead_letters WHERE shard = $1 AND "offset" < $2)
     + (SELECT count(*) FROM forwards WHERE shard = $1 AND "offset" < $2);

-- name: entries_by_command
-- What was recorded under these ids.
SELECT position, command_id, data FROM log WHERE shard = $1 AND command_id = ANY ($2::bytea[]);

-- name: entries_at
-- The bytes at these positions.
SELECT position, data FROM log WHERE shard = $1 AND position = ANY ($2::bigint[]);

-- name: position_of_version
-- Where a wallet got this version.
SELECT position FROM log WHERE shard = $1 AND wallet_id = $2 AND version = $3;

-- name: leaf_tiles
-- A range of the tiles of the lowest level.
SELECT index, hashes FROM tiles
 WHERE shard = $1 AND level = 0 AND index BETWEEN $2 AND $3 ORDER BY index;

-- name: beyond_checkpoint
-- The first row of a growing model that its checkpoint does not cover.
WITH at AS (
    SELECT coalesce((SELECT position FROM live_checkpoints WHERE name = $2 AND shard = $1), 0)
           AS checkpoint
)
SELECT m.position, at.checkpoint
  FROM at, {model} m
 WHERE m.shard = $1 AND (m.position >= at.checkpoint OR m.position < 0)
 ORDER BY m.position LIMIT 1;

-- name: postings_sums
-- What the postings of a shard come to.
SELECT currency, sum(amount) AS sum, count(*) AS lines
  FROM postings WHERE shard = $1 GROUP BY currency ORDER BY currency;

-- name: foreign_shards
-- Shards that a model has rows of and the log does not know.
SELECT DISTINCT shard FROM {model} WHERE shard <> ALL ($1::integer[]) ORDER BY shard;

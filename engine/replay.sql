-- name: partitions
-- How many shards the log has; null before the first engine has started.
SELECT partitions FROM topology;

-- name: shard_sizes
-- How many entries each shard has.
SELECT shard, position FROM shards ORDER BY shard;

-- name: shard_entries
-- Entries of a shard in order of position.
SELECT position, wallet_id, version, command_id, type, occurred_at, data
  FROM log
 WHERE shard = $1 AND position >= $2 AND position < $3
 ORDER BY position
 LIMIT $4;

-- name: wallet_positions
-- Where a wallet's entries stand, rejections included.
SELECT position FROM log WHERE shard = $1 AND wallet_id = $2 AND position >= $3 ORDER BY position;

-- name: entries_at
-- The entries at these positions.
SELECT position, wallet_id, version, command_id, type, occurred_at, data
  FROM log
 WHERE shard = $1 AND position = ANY ($2::bigint[])
 ORDER BY position;

-- name: wallet_events
-- A wallet's events after a version, up to a time if one is given.
SELECT version, occurred_at, data
  FROM log
 WHERE shard = $1 AND wallet_id = $2 AND version > $3
   AND ($4::timestamptz IS NULL OR occurred_at <= $4)
 ORDER BY version
 LIMIT $5;

-- name: final_before
-- No entry of an earlier moment can come any more: not from an append that is still to come or not seen to
-- be under way ($1), and not from one that is, whatever it waits for ($2: how far behind it may be).
SELECT least(clock_timestamp() - $1::interval, min(xact_start) - $2::interval)
  FROM pg_stat_activity
 WHERE application_name = $3 AND datname = current_database();

-- name: clocks
-- The database's clock, and how far the shard's own has come.
SELECT clock_timestamp() AS database_now,
       (SELECT last_at FROM shards WHERE shard = $1) AS last_at;

-- name: clock
-- The database's clock.
SELECT clock_timestamp();

-- name: unclaimed
-- Shards that nobody has claimed since $1; all of them, before the first engine's start.
SELECT coalesce((SELECT partitions FROM topology), 1)
       - (SELECT count(*) FROM shards WHERE claimed_at > $1);

-- name: halted
-- Shards whose owner has stopped since $1, and why.
SELECT shard, halted FROM shards WHERE halted IS NOT NULL AND claimed_at > $1 ORDER BY shard;

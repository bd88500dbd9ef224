-- name: partitions
-- How many partitions there are; no row before the first engine has started.
SELECT partitions FROM topology;

-- name: first_entry
-- The entry that a wallet began with.
SELECT data FROM log WHERE shard = $1 AND wallet_id = $2 AND version = 1;

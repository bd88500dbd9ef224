-- name: entry_of_command
-- The entry of a transaction id, which is the shard and the command id.
SELECT data FROM log WHERE shard = $1 AND command_id = $2;

-- name: entry_at
-- The entry at a place.
SELECT data FROM log WHERE shard = $1 AND position = $2;

-- name: last_refusal
-- What was refused last of what a wallet was asked for; refusals have no version.
SELECT data FROM log
 WHERE shard = $1 AND wallet_id = $2 AND version IS NULL
 ORDER BY position DESC LIMIT 1;

-- name: now
-- The later of the database's clock and the shard's, as live reads take it.
SELECT greatest(clock_timestamp(),
                (SELECT last_at FROM shards WHERE shard = $1));

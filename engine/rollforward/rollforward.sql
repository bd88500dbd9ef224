-- name: shard_rows
-- Every shard as it was restored.
SELECT shard, lease, epoch, next_offset, last_record, position, published, tree, last_at,
       schema_version
  FROM shards ORDER BY shard;

-- name: last_position
-- Where the shard's log really ends, whatever its row says.
SELECT max(position) FROM log WHERE shard = $1;

-- name: leaf_hashes
-- Positions and leaves of the Merkle tree, hashed where the entries are.
SELECT position, sha256('\x00'::bytea || data) AS leaf_hash
  FROM log
 WHERE shard = $1 AND position >= $2 AND position < $3
 ORDER BY position
 LIMIT $4;

-- name: entries_at
-- The entries at these positions.
SELECT position, occurred_at, data FROM log WHERE shard = $1 AND position = ANY ($2::bigint[]);

-- name: anything_due
-- Whether a timer may have decided something since the restored point.
SELECT EXISTS (SELECT FROM due WHERE shard = $1 AND at <= clock_timestamp());

-- name: engine_sessions
-- Engines that are connected to this database, whatever they are doing.
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'wallet-engine append';

-- name: bring_forward
-- Entries that were published before the restore, at the times they have, under a lease of our own.
-- The offset stays: which commands they came from, the engine finds out by their ids.
WITH fence AS (
    UPDATE shards
       SET position = $4, tree = $5, last_at = $6, published = $4,
           schema_version = greatest(schema_version, $7)
     WHERE shard = $1 AND lease = $2 AND position = $3 AND last_at <= $6
    RETURNING shard
), entries AS (
    INSERT INTO log (shard, position, wallet_id, version, command_id, type, occurred_at, data)
    SELECT fence.shard, $3 + e.place - 1, e.wallet_id, e.version, e.command_id, e.type,
           e.occurred_at, e.data
      FROM fence, unnest($8::text[], $9::bigint[], $10::bytea[], $11::text[],
                         $12::timestamptz[], $13::bytea[])
           WITH ORDINALITY
           AS e (wallet_id, version, command_id, type, occurred_at, data, place)
), due_added AS (
    INSERT INTO due (shard, at, wallet_id)
    SELECT fence.shard, d.at, d.wallet_id
      FROM fence, unnest($14::timestamptz[], $15::text[]) AS d (at, wallet_id)
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM fence;

-- name: shard_tree
-- Where the shard stands, and the right edge of its tree.
SELECT position, tree FROM shards WHERE shard = $1;

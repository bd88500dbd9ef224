-- name: keys
-- The table's keys, to be made anew once the rows are there.
SELECT conname AS name, pg_get_constraintdef(oid) AS definition
  FROM pg_constraint WHERE conrelid = 'log'::regclass AND contype IN ('p', 'u')
 ORDER BY contype, conname;

-- name: add_entries
-- One entry of each of $2 wallets, all of the same event; the ids are made up of the positions.
INSERT INTO log (shard, position, wallet_id, version, command_id, type, occurred_at, data)
SELECT 0, e.position, e.wallet_id, $3::bigint, decode(e.command_id, 'hex'), $4, $5,
       convert_to(format($6, e.position, e.wallet_id, e.command_id), 'UTF8')
  FROM (SELECT $1::bigint + number AS position,
               'wal_bench' || lpad(number::text, 7, '0') AS wallet_id,
               md5(($1::bigint + number)::text) AS command_id
          FROM generate_series(0, $2::bigint - 1) AS number) AS e;

-- name: leaf_hashes
-- Leaves of the tree, in order.
SELECT sha256('\x00'::bytea || data) FROM log
 WHERE shard = 0 AND position >= $1 AND position < $2 ORDER BY position;

-- name: add_shard
-- Where the engine goes on: after all of that, which has been published.
INSERT INTO shards (shard, position, published, tree, last_at) VALUES (0, $1, $1, $2, $3);

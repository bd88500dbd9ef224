-- name: walk_in_order
-- Without statistics the planner would read and group the whole shard for each page.
SELECT set_config('enable_hashagg', 'off', true), set_config('enable_sort', 'off', true);

-- name: count_wallets
-- How far wallets after one of them had come in the first entries, straight from the log.
SELECT wallet_id, coalesce(max(version), 0) AS version, count(*) AS entries
  FROM log
 WHERE shard = $1 AND position < $2 AND wallet_id > $3
 GROUP BY wallet_id ORDER BY wallet_id LIMIT $4;

-- name: tallied_wallets
-- The same from the tallies, at the position that these have been taken to.
SELECT wallet_id, version, entries
  FROM wallet_tallies
 WHERE shard = $1 AND wallet_id > $2 ORDER BY wallet_id LIMIT $3;

-- name: tallies_taken
-- Up to where the tallies of a shard count.
SELECT position FROM wallet_tallies_taken WHERE shard = $1;

-- name: begin_tallies
-- A shard's tallies begin at its first entry.
INSERT INTO wallet_tallies_taken (shard) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: take_tallies
-- Count the entries of a range, which has to begin where the tallies end; gives no row if not.
WITH taken AS (
    UPDATE wallet_tallies_taken SET position = $3
     WHERE shard = $1 AND position = $2
    RETURNING shard
), counted AS (
    INSERT INTO wallet_tallies AS t (shard, wallet_id, version, entries)
    SELECT log.shard, wallet_id, coalesce(max(version), 0), count(*)
      FROM log JOIN taken USING (shard)
     WHERE log.shard = $1 AND position >= $2 AND position < $3
     GROUP BY log.shard, wallet_id
    ON CONFLICT (shard, wallet_id) DO UPDATE
       SET version = greatest(t.version, excluded.version),
           entries = t.entries + excluded.entries
)
SELECT shard FROM taken;

-- name: forget_tallies
-- Count from the first entry again.
WITH taken AS (DELETE FROM wallet_tallies_taken WHERE shard = $1)
DELETE FROM wallet_tallies WHERE shard = $1;

-- name: newest_tree
-- The complete tree of the largest size, up to one.
SELECT size, wallets, root FROM wallet_trees
 WHERE shard = $1 AND size <= $2 ORDER BY size DESC LIMIT 1;

-- name: tree
-- A complete tree.
SELECT wallets, root FROM wallet_trees WHERE shard = $1 AND size = $2;

-- name: drop_tiles
-- What is left of a tree that was not completed.
DELETE FROM wallet_tiles AS t
 WHERE shard = $1 AND size = $2
   AND NOT EXISTS (SELECT FROM wallet_trees w WHERE w.shard = t.shard AND w.size = t.size);

-- name: save_tiles
-- Tiles of a tree that is being made; a partial one is written again as it fills.
INSERT INTO wallet_tiles (shard, size, level, index, first_wallet, hashes)
SELECT $1, $2, t.level, t.index, t.first_wallet, t.hashes
  FROM unnest($3::integer[], $4::bigint[], $5::text[], $6::bytea[])
       AS t (level, index, first_wallet, hashes)
ON CONFLICT (shard, size, level, index) DO UPDATE SET hashes = excluded.hashes;

-- name: complete_tree
-- From now on the tree is there.
INSERT INTO wallet_trees (shard, size, wallets, root) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING;

-- name: drop_old_trees
-- Keep the newest trees of a shard, so that they don't add up, and the one that was just made.
WITH old AS (
    DELETE FROM wallet_trees
     WHERE shard = $1 AND size <> $3
       AND size NOT IN (SELECT size FROM wallet_trees WHERE shard = $1
                         ORDER BY size DESC LIMIT $2)
    RETURNING size
)
DELETE FROM wallet_tiles USING old WHERE shard = $1 AND wallet_tiles.size = old.size;

-- name: leaf_tile
-- The tile of the lowest level that a wallet's leaf is in, if it is in the tree.
SELECT index, hashes FROM wallet_tiles
 WHERE shard = $1 AND size = $2 AND level = 0 AND first_wallet <= $3
 ORDER BY first_wallet DESC LIMIT 1;

-- name: tiles
-- Certain tiles of a tree.
SELECT t.level, t.index, t.hashes
  FROM unnest($3::integer[], $4::bigint[]) AS wanted (level, index)
  JOIN wallet_tiles t USING (level, index)
 WHERE t.shard = $1 AND t.size = $2;

-- name: count_wallet
-- How far one wallet had come in the first entries, straight from the log.
SELECT coalesce(max(version), 0) AS version, count(*) AS entries
  FROM log WHERE shard = $1 AND wallet_id = $2 AND position < $3;

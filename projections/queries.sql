-- name: wallet
-- One wallet of the owner ($1, $2) with what is in it at $4, or at the shard's own time if that is
-- later. `missing` is an entry of it that one of the models ($5) has to have before they can be
-- answered from: its last one, or, if that at $6 is enough, one that another of them has already.
SELECT w.wallet_id, w.customer_id, w.currency, w.status, w.metadata::text AS metadata,
       w.created_at, w.shard, live.balance, live.remaining, live.expires_at, live.priority,
       CASE WHEN latest.position < models.slowest THEN NULL
            WHEN $6::bigint IS NULL THEN latest.position
            WHEN $6 >= models.slowest THEN $6
            ELSE (SELECT newest.position
                    FROM (SELECT l.position FROM log AS l
                           WHERE l.shard = w.shard AND l.wallet_id = w.wallet_id
                             AND l.version IS NOT NULL AND l.position < models.fastest
                           ORDER BY l.version DESC
                           LIMIT 1) AS newest
                   WHERE newest.position >= models.slowest)
       END AS missing
  FROM wallets AS w
  JOIN shards AS s ON s.shard = w.shard
 CROSS JOIN LATERAL (
       SELECT l.position FROM log AS l
        WHERE l.shard = w.shard AND l.wallet_id = w.wallet_id AND l.version IS NOT NULL
        ORDER BY l.version DESC
        LIMIT 1
       ) AS latest
 CROSS JOIN LATERAL (
       SELECT min(m.position) AS slowest, max(m.position) AS fastest
         FROM live_checkpoints AS m
        WHERE m.shard = w.shard AND m.name = ANY ($5)
       ) AS models
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(l.remaining), 0)::bigint AS balance,
              array_agg(l.remaining ORDER BY l.priority, l.expires_at, l.lot)
                  FILTER (WHERE l.lot > 0) AS remaining,
              array_agg(l.expires_at ORDER BY l.priority, l.expires_at, l.lot)
                  FILTER (WHERE l.lot > 0) AS expires_at,
              array_agg(l.priority ORDER BY l.priority, l.expires_at, l.lot)
                  FILTER (WHERE l.lot > 0) AS priority
         FROM lots AS l
        WHERE l.shard = w.shard AND l.wallet_id = w.wallet_id
          AND (l.expires_at IS NULL OR l.expires_at > greatest($4, s.last_at))
       ) AS live
 WHERE w.merchant_id = $1 AND w.environment = $2 AND w.wallet_id = $3;

-- name: wallet_page
-- At most $9 wallets of the owner ($1, $2), on from the one created at $7 with the id $8, each as in
-- `wallet`, at $3.
WITH page AS (
    SELECT wallet_id, shard, customer_id, currency, status, metadata, created_at
      FROM wallets
     WHERE merchant_id = $1 AND environment = $2
       AND ($4::text IS NULL OR customer_id = $4)
       AND ($5::text IS NULL OR currency = $5)
       AND ($6::text IS NULL OR status = $6)
       AND ($7::timestamptz IS NULL OR (created_at, wallet_id) {beyond} ($7, $8::text))
     ORDER BY created_at {direction}, wallet_id {direction}
     LIMIT $9
)
SELECT w.wallet_id, w.customer_id, w.currency, w.status, w.metadata::text AS metadata,
       w.created_at, live.balance
  FROM page AS w
  JOIN shards AS s ON s.shard = w.shard
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(l.remaining), 0)::bigint AS balance
         FROM lots AS l
        WHERE l.shard = w.shard AND l.wallet_id = w.wallet_id
          AND (l.expires_at IS NULL OR l.expires_at > greatest($3, s.last_at))
       ) AS live
 ORDER BY w.created_at {direction}, w.wallet_id {direction};

-- name: wallet_place
-- Where a wallet of the owner ($1, $2) stands in the list of all.
SELECT created_at FROM wallets
 WHERE merchant_id = $1 AND environment = $2 AND wallet_id = $3;

-- name: wallet_shown
-- The shard of a wallet of the owner ($1, $2), and its last entry if one of the models ($4) does
-- not have it.
SELECT w.shard,
       CASE WHEN EXISTS (
                SELECT FROM live_checkpoints AS m
                 WHERE m.shard = w.shard AND m.name = ANY ($4) AND m.position <= latest.position)
            THEN latest.position
       END AS missing
  FROM wallets AS w
 CROSS JOIN LATERAL (
       SELECT l.position FROM log AS l
        WHERE l.shard = w.shard AND l.wallet_id = w.wallet_id AND l.version IS NOT NULL
        ORDER BY l.version DESC
        LIMIT 1
       ) AS latest
 WHERE w.merchant_id = $1 AND w.environment = $2 AND w.wallet_id = $3;

-- name: latest_entry
-- A wallet's last entry in the shard where it is at home.
SELECT position FROM log
 WHERE shard = $1 AND wallet_id = $2 AND version IS NOT NULL
 ORDER BY version DESC
 LIMIT 1;

-- name: behind
-- The shards of which any of these models lacks entries, and how many entries the log has there.
SELECT shard, max(log_position) AS position
  FROM live_checkpoints
 WHERE name = ANY ($1) AND position < log_position
 GROUP BY shard;

-- name: transaction_position
-- Where the transaction with this command id stands in the wallet's shard.
SELECT t.position
  FROM log AS l
  JOIN transactions AS t ON t.shard = l.shard AND t.position = l.position
 WHERE l.shard = $1 AND l.command_id = $2 AND t.wallet_id = $3;

-- name: transaction_page
-- At most $6 of a wallet's transactions, on from position $5; $4 are the ids that a reference can
-- have been recorded under.
SELECT t.id, t.type, t.amount, t.balance_before, t.balance_after, t.reference, t.description,
       t.metadata::text AS metadata, t.created_at, t.expires_at
  FROM transactions AS t
 WHERE t.shard = $1 AND t.wallet_id = $2
   AND ($3::text IS NULL OR t.type = $3)
   AND ($4::bytea[] IS NULL OR t.position IN (
        SELECT l.position FROM log AS l WHERE l.shard = $1 AND l.command_id = ANY ($4)))
   AND ($5::bigint IS NULL OR t.position {beyond} $5)
 ORDER BY t.position {direction}
 LIMIT $6;

-- name: lag
-- The read model, among these, that is furthest behind the log, and by how many entries.
SELECT name, sum(log_position - position)::bigint AS entries
  FROM live_checkpoints
 WHERE name = ANY ($1)
 GROUP BY name
 ORDER BY entries DESC, name
 LIMIT 1;

-- name: partitions
-- How many partitions there are; no row before the first engine has started.
SELECT partitions FROM topology;

-- name: forward
-- Where a command was sent on to, whose wallet is at home in another partition.
SELECT home, home_offset FROM forwards WHERE shard = $1 AND "offset" = $2;

-- name: progress
-- How far these shards and their live read models are, all at one moment.
SELECT s.shard, s.next_offset, s.position, m.name AS model, m.position AS model_position
  FROM shards AS s
  LEFT JOIN live_checkpoints AS m ON m.shard = s.shard
 WHERE s.shard = ANY ($1);

-- name: hurry
-- Somebody waits for what the read models lack.
SELECT pg_notify($1, '');

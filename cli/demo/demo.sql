-- name: decided
-- How far every partition is decided, and by whom.
SELECT shard, next_offset, owner FROM shards ORDER BY shard;

-- name: behind
-- How many entries are not published, and not in the read model that is furthest behind.
SELECT (SELECT coalesce(sum(position - published), 0) FROM shards)::bigint AS unpublished,
       (SELECT coalesce(sum(lag), 0)
          FROM (SELECT max(log_position - position) AS lag
                  FROM live_checkpoints GROUP BY shard) AS shards)::bigint AS unprojected;

-- name: running_out
-- Lots that run out before a moment and have no entry of it yet.
SELECT count(*) FROM due WHERE at < $1;

-- name: clock
-- The database's clock.
SELECT clock_timestamp();

-- name: last_entry
-- When the last entry was decided.
SELECT max(occurred_at) FROM log;

-- name: outcomes
-- What the log holds as outcomes of commands, by kind; `code` is a rejection's.
SELECT type, entry->'event'->>'code' AS code, count(*) AS count,
       count(DISTINCT (shard, entry->'offset')) AS records
  FROM log_entries
 WHERE entry->>'offset' IS NOT NULL AND (entry->>'last')::boolean
 GROUP BY type, code ORDER BY type, code;

-- name: expired
-- How many lots have run out by an entry of the log.
SELECT count(*) FROM log WHERE type = 'expired';

-- name: dead_letters
-- How many records were set aside, by reason.
SELECT reason, count(*) AS count FROM dead_letters GROUP BY reason ORDER BY reason;

-- name: forwards
-- How many records were sent on to another partition.
SELECT count(*) FROM forwards;

-- name: eventful_wallet
-- A wallet that much has happened to, without filling pages, and whose it is.
SELECT wallets.wallet_id, wallets.merchant_id, wallets.environment
  FROM transactions JOIN wallets ON wallets.wallet_id = transactions.wallet_id
 WHERE wallets.environment = 'live' AND wallets.currency = ANY ($1::text[])
 GROUP BY wallets.wallet_id, wallets.merchant_id, wallets.environment
HAVING count(*) BETWEEN 12 AND 60
 ORDER BY count(DISTINCT type) DESC, count(*) FILTER (WHERE type = 'expiry') DESC,
          count(*), wallets.wallet_id
 LIMIT 1;

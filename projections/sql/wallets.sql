-- name: create_table
-- One row per wallet; `balance` is the book balance, lots that ran out included until their entry.
CREATE TABLE wallets_{generation} (
    wallet_id   text        COLLATE "C" PRIMARY KEY,
    shard       integer     NOT NULL,
    merchant_id text        COLLATE "C" NOT NULL,
    environment text        COLLATE "C" NOT NULL,
    customer_id text        COLLATE "C" NOT NULL,
    currency    text        COLLATE "C" NOT NULL,
    status      text        COLLATE "C" NOT NULL,
    balance     bigint      NOT NULL,
    version     bigint      NOT NULL,
    metadata    jsonb       NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
) WITH (fillfactor = 70)

-- name: create_indexes
-- Lists are newest first, of all wallets of a merchant or of one customer's.
CREATE INDEX wallets_{generation}_newest
    ON wallets_{generation} (merchant_id, environment, created_at DESC, wallet_id DESC);
CREATE INDEX wallets_{generation}_customer
    ON wallets_{generation} (merchant_id, environment, customer_id, created_at DESC, wallet_id DESC)

-- name: create_view
-- What readers see.
CREATE OR REPLACE VIEW wallets AS
    SELECT wallet_id, shard, merchant_id, environment, customer_id, currency, status, balance,
           version, metadata, created_at, updated_at
      FROM wallets_{generation}

-- name: apply_created
-- New wallets of a range. $1 shard, entries [$2, $3).
INSERT INTO wallets_{generation} (
       wallet_id, shard, merchant_id, environment, customer_id, currency, status, balance,
       version, metadata, created_at, updated_at)
SELECT l.wallet_id, l.shard, e.merchant_id, e.environment, e.customer_id, e.currency, 'active', 0,
       l.version, e.metadata, l.occurred_at, l.occurred_at
  FROM log AS l
 CROSS JOIN LATERAL jsonb_to_record(convert_from(l.data, 'UTF8')::jsonb -> 'event')
       AS e (merchant_id text, environment text, customer_id text, currency text, metadata jsonb)
 WHERE l.shard = $1 AND l.position >= $2 AND l.position < $3 AND l.type = 'wallet_created'

-- name: apply
-- What the last entries of each wallet in a range leave. The arrays begin with the position, so that
-- the greatest is the last.
UPDATE wallets_{generation} AS w
   SET version = last.version,
       updated_at = last.updated_at,
       balance = coalesce(last.money[2], w.balance),
       status = CASE last.status[2]
                    WHEN 0 THEN 'active'
                    WHEN 1 THEN 'frozen'
                    WHEN 2 THEN 'closed'
                    ELSE w.status
                END
  FROM (SELECT wallet_id, max(version) AS version, max(occurred_at) AS updated_at,
               max(ARRAY[position, balance_after]) FILTER (WHERE balance_after IS NOT NULL)
                   AS money,
               max(ARRAY[position, CASE type
                                       WHEN 'unfrozen' THEN 0
                                       WHEN 'frozen' THEN 1
                                       WHEN 'closed' THEN 2
                                   END])
                   FILTER (WHERE type IN ('unfrozen', 'frozen', 'closed')) AS status
          FROM entries
         GROUP BY wallet_id) AS last
 WHERE w.wallet_id = last.wallet_id AND w.version < last.version

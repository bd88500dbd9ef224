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
-- Lists are newest first, of all wallets or of one customer's.
CREATE INDEX wallets_{generation}_newest
    ON wallets_{generation} (created_at DESC, wallet_id DESC);
CREATE INDEX wallets_{generation}_customer
    ON wallets_{generation} (customer_id, created_at DESC, wallet_id DESC)

-- name: create_view
-- What readers see.
CREATE OR REPLACE VIEW wallets AS
    SELECT wallet_id, shard, merchant_id, environment, customer_id, currency, status, balance,
           version, metadata, created_at, updated_at
      FROM wallets_{generation}

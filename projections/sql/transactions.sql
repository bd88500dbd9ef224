-- name: create_table
-- One row per entry that moved money.
CREATE TABLE transactions_{generation} (
    shard          integer     NOT NULL,
    position       bigint      NOT NULL,
    wallet_id      text        COLLATE "C" NOT NULL,
    merchant_id    text        COLLATE "C" NOT NULL,
    environment    text        COLLATE "C" NOT NULL,
    command_id     bytea       NOT NULL,
    type           text        COLLATE "C" NOT NULL,
    amount         bigint      NOT NULL,
    currency       text        COLLATE "C" NOT NULL,
    balance_before bigint      NOT NULL,
    balance_after  bigint      NOT NULL,
    reference      text        COLLATE "C",
    description    text        NOT NULL,
    metadata       jsonb       NOT NULL,
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz,
    PRIMARY KEY (shard, position)
)

-- name: create_indexes
-- A wallet's transactions, newest first when read backwards.
CREATE INDEX transactions_{generation}_wallet
    ON transactions_{generation} (wallet_id, position)

-- name: create_view
-- What readers see; the id is that of schemas.ids.transaction_id.
CREATE OR REPLACE VIEW transactions AS
    SELECT shard, position,
           'txn_' || lpad(to_hex(shard), 4, '0') || encode(command_id, 'hex') AS id,
           wallet_id, merchant_id, environment, command_id, type, amount, currency,
           balance_before, balance_after, reference, description, metadata, created_at, expires_at
      FROM transactions_{generation}

-- name: apply
-- The transactions of a range.
INSERT INTO transactions_{generation} (
       shard, position, wallet_id, merchant_id, environment, command_id, type, amount, currency,
       balance_before, balance_after, reference, description, metadata, created_at, expires_at)
SELECT shard, position, wallet_id, merchant_id, environment, command_id,
       CASE type
           WHEN 'topped_up' THEN 'topup'
           WHEN 'debited' THEN 'debit'
           WHEN 'credited' THEN 'credit'
           WHEN 'expired' THEN 'expiry'
           WHEN 'written_off' THEN 'write_off'
       END,
       amount, currency, balance_before, balance_after, reference, coalesce(description, ''),
       coalesce(metadata, '{}'), occurred_at, expires_at
  FROM entries
 WHERE type IN ('debited', 'credited', 'topped_up', 'expired', 'written_off')

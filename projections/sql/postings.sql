-- name: create_table
-- Double entry: the lines of one position sum to 0. A positive amount goes into the account.
CREATE TABLE postings_{generation} (
    shard    integer NOT NULL,
    position bigint  NOT NULL,
    line     integer NOT NULL,
    account  text    COLLATE "C" NOT NULL,
    currency text    COLLATE "C" NOT NULL,
    amount   bigint  NOT NULL,
    PRIMARY KEY (shard, position, line)
)

-- name: create_view
-- What readers see.
CREATE OR REPLACE VIEW postings AS
    SELECT shard, position, line, account, currency, amount FROM postings_{generation}

-- name: apply
-- The lines of a range: the wallet's, then its merchant's. $1 shard, entries [$2, $3). OFFSET 0
-- keeps the planner from reading the JSON anew for each column.
INSERT INTO postings_{generation} (shard, position, line, account, currency, amount)
SELECT moved.shard, moved.position, posting.line, posting.account, moved.currency, posting.amount
  FROM (SELECT shard, position, wallet_id, entry #>> '{event,currency}' AS currency,
               CASE WHEN type IN ('credited', 'topped_up') THEN 1 ELSE -1 END
                   * (entry #>> '{event,amount}')::bigint AS amount,
               CASE type
                   WHEN 'topped_up' THEN 'topups:'
                   WHEN 'credited' THEN 'credits:'
                   WHEN 'debited' THEN 'usage:'
                   WHEN 'expired' THEN 'expired:'
                   WHEN 'written_off' THEN 'written_off:'
               END || (entry ->> 'merchant_id') || ':' || (entry ->> 'environment')
                   AS counterpart
          FROM (SELECT *, convert_from(data, 'UTF8')::jsonb AS entry
                  FROM log
                 WHERE shard = $1 AND position >= $2 AND position < $3
                   AND type IN ('debited', 'credited', 'topped_up', 'expired', 'written_off')
                OFFSET 0) AS entries
        OFFSET 0) AS moved
 CROSS JOIN LATERAL (
       VALUES (0, 'wallet:' || moved.wallet_id, moved.amount),
              (1, moved.counterpart, -moved.amount)
       ) AS posting (line, account, amount)

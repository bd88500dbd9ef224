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
-- The lines of a range: the wallet's, then its merchant's. OFFSET 0 keeps the planner from working
-- out an amount for each use of it.
INSERT INTO postings_{generation} (shard, position, line, account, currency, amount)
SELECT shard, position, line,
       CASE WHEN line = 0 THEN 'wallet:' || wallet_id
            ELSE CASE type
                     WHEN 'topped_up' THEN 'topups:'
                     WHEN 'credited' THEN 'credits:'
                     WHEN 'debited' THEN 'usage:'
                     WHEN 'expired' THEN 'expired:'
                     WHEN 'written_off' THEN 'written_off:'
                 END || merchant_id || ':' || environment
       END,
       currency,
       CASE WHEN (line = 0) = (type IN ('credited', 'topped_up')) THEN amount ELSE -amount END
  FROM (SELECT *, unnest('{0,1}'::integer[]) AS line
          FROM (SELECT shard, position, wallet_id, type, merchant_id, environment, currency, amount
                  FROM entries
                 WHERE type IN ('debited', 'credited', 'topped_up', 'expired', 'written_off')
                OFFSET 0) AS moved) AS lines

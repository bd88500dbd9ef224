-- name: create_table
-- What is left of each lot; what a wallet owes stands as its lot 0, negative and without an end.
CREATE TABLE lots_{generation} (
    shard      integer NOT NULL,
    wallet_id  text    COLLATE "C" NOT NULL,
    lot        bigint  NOT NULL,
    remaining  bigint  NOT NULL CHECK (remaining <> 0),
    expires_at timestamptz,
    priority   integer NOT NULL,
    PRIMARY KEY (shard, wallet_id, lot)
) WITH (fillfactor = 70)

-- name: create_view
-- What readers see.
CREATE OR REPLACE VIEW lots AS
    SELECT shard, wallet_id, lot, remaining, expires_at, priority FROM lots_{generation}

-- name: apply
-- What the entries of a range added to and took from each lot.
MERGE INTO lots_{generation} AS kept
USING (
    SELECT wallet_id, lot, sum(amount) AS amount, max(expires_at) AS expires_at,
           max(priority) AS priority
      FROM (SELECT wallet_id, (part ->> 'lot')::bigint AS lot,
                   -(part ->> 'amount')::bigint AS amount,
                   NULL::timestamptz AS expires_at, NULL::integer AS priority
              FROM (SELECT wallet_id, jsonb_array_elements(lots) AS part
                      FROM entries
                     WHERE type IN ('debited', 'written_off')) AS parts
             UNION ALL
            SELECT wallet_id, lot, amount - settled, expires_at, priority
              FROM entries
             WHERE type IN ('credited', 'topped_up') AND lot <> 0
             UNION ALL
            SELECT wallet_id, lot, -amount, NULL, NULL
              FROM entries
             WHERE type = 'expired'
             UNION ALL
            -- lot 0: what is owed
            SELECT wallet_id, 0, CASE type
                                     WHEN 'debited' THEN -overdrawn
                                     WHEN 'written_off' THEN -amount
                                     ELSE settled
                                 END, NULL, NULL
              FROM entries
             WHERE overdrawn <> 0 OR settled <> 0 OR (type = 'written_off' AND amount < 0)
           ) AS change
     GROUP BY wallet_id, lot
    HAVING sum(amount) <> 0
) AS changed
   ON kept.shard = $1 AND kept.wallet_id = changed.wallet_id AND kept.lot = changed.lot
 WHEN MATCHED AND kept.remaining + changed.amount = 0 THEN DELETE
 WHEN MATCHED THEN UPDATE SET remaining = kept.remaining + changed.amount
 WHEN NOT MATCHED THEN
      INSERT (shard, wallet_id, lot, remaining, expires_at, priority)
      VALUES ($1, changed.wallet_id, changed.lot, changed.amount, changed.expires_at,
              coalesce(changed.priority, 100))

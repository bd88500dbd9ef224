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
-- What the entries of a range added to and took from each lot. $1 shard, entries [$2, $3).
-- OFFSET 0 keeps the planner from reading the JSON anew for each field.
MERGE INTO lots_{generation} AS kept
USING (
    SELECT e.wallet_id, change.lot, sum(change.amount) AS amount,
           max(change.expires_at) AS expires_at, max(change.priority) AS priority
      FROM (SELECT wallet_id, type, convert_from(data, 'UTF8')::jsonb -> 'event' AS event
              FROM log
             WHERE shard = $1 AND position >= $2 AND position < $3
               AND type IN ('debited', 'credited', 'topped_up', 'expired', 'written_off')
            OFFSET 0) AS e
     CROSS JOIN LATERAL (
           SELECT (part ->> 'lot')::bigint, -(part ->> 'amount')::bigint,
                  NULL::timestamptz, NULL::integer
             FROM jsonb_array_elements(e.event -> 'lots') AS part
            WHERE e.type IN ('debited', 'written_off')
           UNION ALL
           SELECT (e.event ->> 'lot')::bigint,
                  (e.event ->> 'amount')::bigint - (e.event ->> 'settled')::bigint,
                  (e.event ->> 'expires_at')::timestamptz, (e.event ->> 'priority')::integer
            WHERE e.type IN ('credited', 'topped_up') AND (e.event ->> 'lot')::bigint <> 0
           UNION ALL
           SELECT (e.event ->> 'lot')::bigint, -(e.event ->> 'amount')::bigint, NULL, NULL
            WHERE e.type = 'expired'
           UNION ALL
           -- lot 0: what is owed
           SELECT 0, CASE e.type
                         WHEN 'debited' THEN -(e.event ->> 'overdrawn')::bigint
                         WHEN 'written_off' THEN -least((e.event ->> 'amount')::bigint, 0)
                         ELSE (e.event ->> 'settled')::bigint
                     END, NULL, NULL
            WHERE e.type <> 'expired'
           ) AS change (lot, amount, expires_at, priority)
     GROUP BY e.wallet_id, change.lot
    HAVING sum(change.amount) <> 0
) AS changed
   ON kept.shard = $1 AND kept.wallet_id = changed.wallet_id AND kept.lot = changed.lot
 WHEN MATCHED AND kept.remaining + changed.amount = 0 THEN DELETE
 WHEN MATCHED THEN UPDATE SET remaining = kept.remaining + changed.amount
 WHEN NOT MATCHED THEN
      INSERT (shard, wallet_id, lot, remaining, expires_at, priority)
      VALUES ($1, changed.wallet_id, changed.lot, changed.amount, changed.expires_at,
              coalesce(changed.priority, 100))

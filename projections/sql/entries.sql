-- name: entries
-- The events of a range, whose JSON is read once for all models that are filled together. $1 shard,
-- entries [$2, $3). OFFSET 0 keeps the planner from reading it anew for each column.
SELECT shard, position, wallet_id, version, type, command_id, occurred_at,
       entry ->> 'merchant_id' AS merchant_id, entry ->> 'environment' AS environment,
       (event ->> 'amount')::bigint AS amount, event ->> 'currency' AS currency,
       (event ->> 'balance_before')::bigint AS balance_before,
       (event ->> 'balance_after')::bigint AS balance_after,
       event ->> 'reference' AS reference, event ->> 'description' AS description,
       event -> 'metadata' AS metadata, (event ->> 'expires_at')::timestamptz AS expires_at,
       (event ->> 'priority')::integer AS priority, (event ->> 'lot')::bigint AS lot,
       (event ->> 'settled')::bigint AS settled, (event ->> 'overdrawn')::bigint AS overdrawn,
       event -> 'lots' AS lots
  FROM (SELECT *, entry -> 'event' AS event
          FROM (SELECT *, convert_from(data, 'UTF8')::jsonb AS entry
                  FROM log
                 WHERE shard = $1 AND position >= $2 AND position < $3
                   AND type IN ('debited', 'credited', 'topped_up', 'expired', 'written_off',
                                'frozen', 'unfrozen', 'closed')
                OFFSET 0) AS entries
        OFFSET 0) AS events

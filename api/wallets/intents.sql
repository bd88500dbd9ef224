-- name: intend
-- A wallet is about to be made; nothing changes if that is known.
INSERT INTO wallet_intents (wallet_id, customer_id, command)
VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING;

-- name: of_customer
-- The commands that make wallets of a customer and whose outcome nobody has seen.
SELECT command FROM wallet_intents WHERE customer_id = $1 ORDER BY wallet_id;

-- name: settled
-- The outcome of making this wallet has been seen.
DELETE FROM wallet_intents WHERE wallet_id = $1;

-- name: set_aside
-- The engine could make nothing of the command that makes this wallet.
UPDATE wallet_intents SET set_aside_at = clock_timestamp() WHERE wallet_id = $1;

-- name: take_over
-- At most $2 commands that whoever sent them last has given up on, for a request ends in $1
-- seconds; nobody else takes them over for as long. Those that were set aside are left alone for $3.
UPDATE wallet_intents
   SET sent_at = clock_timestamp()
 WHERE wallet_id IN (
       SELECT wallet_id FROM wallet_intents
        WHERE sent_at < clock_timestamp() - make_interval(secs => $1)
          AND (set_aside_at IS NULL OR set_aside_at < clock_timestamp() - $3::interval)
        ORDER BY sent_at
        LIMIT $2
          FOR UPDATE SKIP LOCKED)
RETURNING command;

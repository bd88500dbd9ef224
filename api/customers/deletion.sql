-- name: unshown
-- The entries of wallets that were made since the read model of wallets was last brought forward.
SELECT l.data
  FROM live_checkpoints AS m
  JOIN log AS l ON l.shard = m.shard AND l.position >= m.position
 WHERE m.name = 'wallets' AND l.type = 'wallet_created';

-- name: open_wallet
-- A wallet of the owner's ($1, $2) customer ($3) that is not closed.
SELECT wallet_id FROM wallets
 WHERE merchant_id = $1 AND environment = $2 AND customer_id = $3 AND status <> 'closed'
 ORDER BY created_at, wallet_id
 LIMIT 1;

-- name: bury
-- Nothing is left of a customer but its id, and that it was there.
UPDATE customers
   SET email = NULL, email_key = NULL, name = NULL, phone = NULL, metadata = '{}',
       updated_at = $2, deleted_at = clock_timestamp()
 WHERE customer_id = $1;

-- name: forget_answer
-- The request that made the customer was drawn this id ($1) for what it does: its answer tells of
-- the customer. Asked again, it finds that there is none.
UPDATE idempotency_keys SET status = NULL, body = NULL
 WHERE effect_id = $1 AND status IS NOT NULL;

-- name: forget_late_answers
-- As `forget_answer`, of customers deleted in the last $1 seconds: whoever made one may have kept
-- the answer only after it was deleted.
UPDATE idempotency_keys AS k SET status = NULL, body = NULL
  FROM customers AS c
 WHERE c.deleted_at > clock_timestamp() - make_interval(secs => $1)
   AND k.effect_id = substr(c.customer_id, length('cus_') + 1)
   AND k.status = 201;

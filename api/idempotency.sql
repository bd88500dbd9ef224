-- name: claim
-- The first request under a key leaves a row; no row is returned to those after it.
INSERT INTO idempotency_keys (merchant_id, environment, key, request, effect_id)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
RETURNING effect_id;

-- name: claimed
-- What was asked under a key, and the answer if there is one.
SELECT request, effect_id, status, body
  FROM idempotency_keys
 WHERE merchant_id = $1 AND environment = $2 AND key = $3;

-- name: keep
-- Keeps an answer unless there is one, and gives the one that is kept. Of two at once the second
-- waits for the first, and then sees its row as the first left it. What tells of a customer who has
-- been deleted meanwhile is not kept.
UPDATE idempotency_keys
   SET status = coalesce(status, $4), body = coalesce(body, $5),
       kept_at = coalesce(kept_at, clock_timestamp())
 WHERE merchant_id = $1 AND environment = $2 AND key = $3
   AND ($4 <> 201 OR NOT EXISTS (
        SELECT FROM customers
         WHERE customer_id = 'cus_' || effect_id AND deleted_at IS NOT NULL))
RETURNING status, body;

-- name: forget
-- Forget the oldest keys, $2 at most, whose answers have been kept for $1.
DELETE FROM idempotency_keys
 WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM idempotency_keys
        WHERE created_at < clock_timestamp() - $1::interval
          AND (kept_at IS NULL OR kept_at < clock_timestamp() - $1::interval)
        ORDER BY created_at
        LIMIT $2
          FOR UPDATE SKIP LOCKED));

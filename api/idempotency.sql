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
-- The first answer under a key, whoever gave it.
WITH kept AS (
    UPDATE idempotency_keys SET status = $4, body = $5
     WHERE merchant_id = $1 AND environment = $2 AND key = $3 AND status IS NULL
    RETURNING status, body
)
SELECT status, body FROM kept
UNION ALL
SELECT status, body FROM idempotency_keys
 WHERE merchant_id = $1 AND environment = $2 AND key = $3 AND status IS NOT NULL
 LIMIT 1;

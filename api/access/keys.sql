-- name: insert_merchant
-- A merchant.
INSERT INTO merchants (merchant_id, name, currency) VALUES ($1, $2, $3);

-- name: insert_key
-- A key; its secret is inserted by `insert_secret`.
INSERT INTO api_keys (client_id, merchant_id, environment, label, scopes, allowed_networks,
                      requests_per_second, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: insert_secret
-- The keyed hash of a key's secret.
INSERT INTO api_key_secrets (client_id, hash, hash_key) VALUES ($1, $2, $3);

-- name: credential
-- A key that may be used now, and the hashes of the secrets that are good for it.
SELECT k.merchant_id, k.environment, k.scopes, k.allowed_networks, k.requests_per_second,
       s.hash, s.hash_key
  FROM api_keys AS k
  JOIN api_key_secrets AS s ON s.client_id = k.client_id
 WHERE k.client_id = $1 AND k.revoked_at IS NULL
   AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
   AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp());

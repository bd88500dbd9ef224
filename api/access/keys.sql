-- name: insert_merchant
-- A merchant.
INSERT INTO merchants (merchant_id, name, currency) VALUES ($1, $2, $3);

-- name: merchants
-- Every merchant, the oldest first, and how many of its keys may be used now.
SELECT m.merchant_id, m.name, m.currency, m.created_at, count(k.client_id) AS keys
  FROM merchants AS m
  LEFT JOIN api_keys AS k
    ON k.merchant_id = m.merchant_id AND k.revoked_at IS NULL
   AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
 GROUP BY m.merchant_id
 ORDER BY m.created_at, m.merchant_id;

-- name: insert_key
-- A key; its secret is inserted by `insert_secret`.
INSERT INTO api_keys (client_id, merchant_id, environment, label, scopes, allowed_networks,
                      requests_per_second, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: insert_secret
-- The keyed hash of a key's secret.
INSERT INTO api_key_secrets (client_id, hash, hash_key) VALUES ($1, $2, $3);

-- name: keys
-- The keys of a merchant ($1) or the one of a client id ($2), the oldest first, and which of the
-- server's keys the hashes of their secrets were made with.
SELECT k.client_id, k.merchant_id, k.environment, k.label, k.scopes, k.allowed_networks,
       k.requests_per_second, k.created_at, k.expires_at, k.revoked_at,
       CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
            WHEN k.expires_at <= clock_timestamp() THEN 'expired'
            ELSE 'active' END AS status,
       ARRAY(SELECT DISTINCT s.hash_key FROM api_key_secrets AS s
              WHERE s.client_id = k.client_id
                AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())
              ORDER BY s.hash_key) AS hash_keys
  FROM api_keys AS k
 WHERE k.merchant_id = $1 OR k.client_id = $2
 ORDER BY k.created_at, k.client_id;

-- name: lock_usable
-- The key, locked until the end of the transaction, if it may be used now.
SELECT merchant_id, environment
  FROM api_keys
 WHERE client_id = $1 AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > clock_timestamp())
   FOR UPDATE;

-- name: delete_ended_secrets
-- Hashes of a key's secrets that are not good any more.
DELETE FROM api_key_secrets WHERE client_id = $1 AND expires_at <= clock_timestamp();

-- name: end_secrets
-- A key's secrets are good for this long still, or less if that was said before; until when.
UPDATE api_key_secrets
   SET expires_at = least(expires_at, clock_timestamp() + $2::interval)
 WHERE client_id = $1
RETURNING expires_at;

-- name: revoke
-- The key is not good any more.
UPDATE api_keys SET revoked_at = clock_timestamp() WHERE client_id = $1 AND revoked_at IS NULL;

-- name: tell
-- Every process that has verified this key forgets that it has, once this is committed.
SELECT pg_notify('wallet_keys', $1);

-- name: credential
-- A key that may be used now, the hashes of the secrets that are good for it, and for how long at
-- least that stays so.
SELECT k.merchant_id, k.environment, k.scopes, k.allowed_networks, k.requests_per_second,
       s.hash, s.hash_key, least(k.expires_at, s.expires_at) - clock_timestamp() AS good_for
  FROM api_keys AS k
  JOIN api_key_secrets AS s ON s.client_id = k.client_id
 WHERE k.client_id = $1 AND k.revoked_at IS NULL
   AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
   AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp());

-- name: replace_hash
-- The hash of a secret, made anew with another of the server's keys.
UPDATE api_key_secrets SET hash = $3, hash_key = $4 WHERE client_id = $1 AND hash = $2;

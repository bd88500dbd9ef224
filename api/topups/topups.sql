-- name: insert
-- A pending top-up, unless it is there already.
INSERT INTO topups (topup_id, merchant_id, environment, wallet_id, amount, currency, token,
                    redirect_url, cancel_url, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (topup_id) DO NOTHING;

-- name: topup
-- One top-up.
SELECT * FROM topups WHERE topup_id = $1;

-- name: page
-- Top-ups of a wallet ($1) on from the one created at $2 with the id $3, at most $4.
SELECT * FROM topups
 WHERE wallet_id = $1
   AND ($2::timestamptz IS NULL OR (created_at, topup_id) {beyond} ($2, $3::text))
 ORDER BY created_at {direction}, topup_id {direction}
 LIMIT $4;

-- name: checkout
-- The sandbox's checkout with this token, and the name of the merchant who is paid.
SELECT t.*, m.name AS merchant_name
  FROM topups AS t
  JOIN merchants AS m ON m.merchant_id = t.merchant_id
 WHERE t.token = $1 AND t.environment = 'sandbox';

-- name: begin_paying
-- Whoever presses Pay first, before the end at $2, has begun; no row for everybody else.
UPDATE topups SET status = 'paying', attempts = 1, attempted_at = clock_timestamp()
 WHERE token = $1 AND environment = 'sandbox' AND status = 'pending' AND expires_at > $2
RETURNING *;

-- name: cancel
-- Given up by the customer, before the end at $2 and before paying has begun.
UPDATE topups SET status = 'cancelled'
 WHERE token = $1 AND environment = 'sandbox' AND status = 'pending' AND expires_at > $2;

-- name: settle
-- What became of the payment; the first to see it writes it down.
UPDATE topups SET status = $2, failure = $3 WHERE topup_id = $1 AND status = 'paying';

-- name: set_aside
-- The engine could make nothing of a payment's command.
UPDATE topups SET set_aside_at = clock_timestamp() WHERE topup_id = $1 AND status = 'paying';

-- name: expire
-- At most $2 top-ups that nobody paid for until $1. By the database's clock too: a process whose own
-- is ahead must not end for good what can still be paid for.
UPDATE topups SET status = 'expired'
 WHERE topup_id IN (
       SELECT topup_id FROM topups
        WHERE status = 'pending' AND expires_at <= least($1, now())
        ORDER BY expires_at
        LIMIT $2
          FOR UPDATE SKIP LOCKED)
   AND status = 'pending';

-- name: take_unsettled
-- At most $1 payments whose command has to be sent again, for its sender was not heard of for a
-- time that doubles with every attempt, from $2 to $3 seconds. Others leave them alone for as long.
-- Those that were set aside are left alone for $4.
UPDATE topups SET attempts = attempts + 1, attempted_at = clock_timestamp()
 WHERE topup_id IN (
       SELECT topup_id FROM topups
        WHERE status = 'paying'
          AND attempted_at <= clock_timestamp() - make_interval(secs => $2)
          AND attempted_at <= clock_timestamp()
              - make_interval(secs => least($3, $2 * 2 ^ least(attempts - 1, 20)))
          AND (set_aside_at IS NULL OR set_aside_at <= clock_timestamp() - $4::interval)
        ORDER BY attempted_at
        LIMIT $1
          FOR UPDATE SKIP LOCKED)
   AND status = 'paying'
RETURNING *;

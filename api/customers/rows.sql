-- name: claim_email
-- Nobody else takes this email ($3, as compared) of the owner ($1, $2) before the transaction ends.
-- Without it, whoever comes second is refused by the index, and the email gets into the server log.
SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(' ', $1::text, $2::text, $3::text), 0));

-- name: email_is_taken
-- Whether another customer than $4 has this email.
SELECT EXISTS (
    SELECT FROM customers
     WHERE merchant_id = $1 AND environment = $2 AND email_key = $3 AND customer_id <> $4
);

-- name: add
-- A new customer; its currency is the merchant's if none ($8) is given. No row if there is one of
-- this id already.
INSERT INTO customers (customer_id, merchant_id, environment, email, email_key, name, phone,
                       currency, metadata, created_at, updated_at)
SELECT $3, m.merchant_id, $2, $4, $5, $6, $7, coalesce($8, m.currency), $9::text::jsonb, $10, $10
  FROM merchants AS m
 WHERE m.merchant_id = $1
    ON CONFLICT (customer_id) DO NOTHING
RETURNING customer_id, email, name, phone, currency, metadata::text AS metadata, created_at;

-- name: customer
-- A customer ($3) of the owner ($1, $2).
SELECT customer_id, email, name, phone, currency, metadata::text AS metadata, created_at
  FROM customers
 WHERE merchant_id = $1 AND environment = $2 AND customer_id = $3 AND deleted_at IS NULL;

-- name: lock
-- As `customer`, and nobody changes it, deletes it, or begins a wallet for it, before the
-- transaction ends.
SELECT customer_id, email, name, phone, currency, metadata::text AS metadata, created_at
  FROM customers
 WHERE merchant_id = $1 AND environment = $2 AND customer_id = $3 AND deleted_at IS NULL
   FOR UPDATE;

-- name: default_currency
-- What customers of the merchant ($1) have unless told otherwise.
SELECT currency FROM merchants WHERE merchant_id = $1;

-- name: change
-- Every field of a customer that can be changed.
UPDATE customers
   SET email = $2, email_key = $3, name = $4, phone = $5, currency = $6,
       metadata = $7::text::jsonb, updated_at = $8
 WHERE customer_id = $1
RETURNING customer_id, email, name, phone, currency, metadata::text AS metadata, created_at;

-- name: page
-- At most $6 customers of the owner ($1, $2) with the email $3 (as compared; all if NULL), on from
-- the one created at $4 with the id $5.
SELECT customer_id, email, name, phone, currency, metadata::text AS metadata, created_at
  FROM customers
 WHERE merchant_id = $1 AND environment = $2 AND deleted_at IS NULL
   AND ($3::text IS NULL OR email_key = $3)
   AND ($4::timestamptz IS NULL OR (created_at, customer_id) {beyond} ($4, $5::text))
 ORDER BY created_at {direction}, customer_id {direction}
 LIMIT $6;

-- name: place
-- Where a customer stands in the list of all, also after it was deleted.
SELECT created_at FROM customers
 WHERE merchant_id = $1 AND environment = $2 AND customer_id = $3;

-- name: hold
-- A customer ($3) of the owner ($1, $2) is not deleted before the transaction ends.
SELECT customer_id FROM customers
 WHERE merchant_id = $1 AND environment = $2 AND customer_id = $3 AND deleted_at IS NULL
   FOR KEY SHARE;

-- name: record_change
-- One change of a customer: when, by which key, in which request, what, and names of fields.
INSERT INTO customer_audit (customer_id, at, client_id, request_id, action, fields)
VALUES ($1, $2, $3, $4, $5, $6);

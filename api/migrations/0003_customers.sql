-- Customers, and who changed which of their fields. Nothing personal is left of a deleted one, and
-- nothing personal is ever in the audit.

CREATE TABLE customers (
    customer_id text        COLLATE "C" PRIMARY KEY,
    merchant_id text        COLLATE "C" NOT NULL,
    environment text        COLLATE "C" NOT NULL,
    email       text,
    email_key   text        COLLATE "C",
    name        text,
    phone       text,
    currency    text        COLLATE "C" NOT NULL,
    metadata    jsonb       NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at  timestamptz,
    CHECK ((deleted_at IS NULL) = (email IS NOT NULL AND email_key IS NOT NULL))
);

CREATE UNIQUE INDEX customers_email ON customers (merchant_id, environment, email_key);
CREATE INDEX customers_newest
    ON customers (merchant_id, environment, created_at DESC, customer_id DESC)
 WHERE deleted_at IS NULL;

CREATE INDEX customers_deleted ON customers (deleted_at) WHERE deleted_at IS NOT NULL;

-- the answer that is kept of a request that made a customer goes with the customer
CREATE INDEX idempotency_keys_of_effect ON idempotency_keys (effect_id);

CREATE TABLE customer_audit (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id text        COLLATE "C" NOT NULL REFERENCES customers,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    client_id   text        COLLATE "C" NOT NULL,
    request_id  text        NOT NULL,
    action      text        NOT NULL CHECK (action IN ('created', 'updated', 'deleted')),
    fields      text[]      NOT NULL
);

CREATE INDEX customer_audit_of_customer ON customer_audit (customer_id, id);

-- A wallet that is being made for a customer, from before its command is sent until its outcome
-- has been seen. Deleting the customer waits for it. sent_at is when the command was sent last, or
-- was about to be; set_aside_at when the engine last could make nothing of it.
CREATE TABLE wallet_intents (
    wallet_id   text        COLLATE "C" PRIMARY KEY,
    customer_id text        COLLATE "C" NOT NULL REFERENCES customers,
    command     bytea       NOT NULL,
    sent_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    set_aside_at timestamptz
);

CREATE INDEX wallet_intents_of_customer ON wallet_intents (customer_id);
CREATE INDEX wallet_intents_unsettled ON wallet_intents (sent_at);

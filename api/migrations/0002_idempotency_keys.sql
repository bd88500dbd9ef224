-- What was asked under an Idempotency-Key, and the first answer to it. effect_id is drawn before
-- anything is done: the ids and references of what the request makes come from it.
CREATE TABLE idempotency_keys (
    merchant_id text        COLLATE "C" NOT NULL,
    environment text        COLLATE "C" NOT NULL,
    key         text        COLLATE "C" NOT NULL,
    request     bytea       NOT NULL,
    effect_id   text        COLLATE "C" NOT NULL,
    status      integer,
    body        bytea,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    kept_at     timestamptz,
    PRIMARY KEY (merchant_id, environment, key)
);

CREATE INDEX idempotency_keys_oldest ON idempotency_keys (created_at);

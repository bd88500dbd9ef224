-- Who may use the API: merchants, and the keys that act for one of them in one environment.

CREATE TABLE merchants (
    merchant_id text        COLLATE "C" PRIMARY KEY,
    name        text        NOT NULL,
    currency    text        COLLATE "C" NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE api_keys (
    client_id           text        COLLATE "C" PRIMARY KEY,
    merchant_id         text        COLLATE "C" NOT NULL REFERENCES merchants,
    environment         text        COLLATE "C" NOT NULL CHECK (environment IN ('sandbox', 'live')),
    label               text        NOT NULL,
    scopes              text[]      NOT NULL,
    allowed_networks    cidr[]      NOT NULL DEFAULT '{}',
    requests_per_second integer     NOT NULL DEFAULT 100 CHECK (requests_per_second > 0),
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at          timestamptz,
    revoked_at          timestamptz
);

CREATE INDEX api_keys_of_merchant ON api_keys (merchant_id, environment, created_at);

-- A key has one secret, and for some time after a roll the one before as well. Only the keyed hash
-- is here; hash_key names the server key that it was made with.
CREATE TABLE api_key_secrets (
    client_id  text        COLLATE "C" NOT NULL REFERENCES api_keys,
    hash       bytea       NOT NULL,
    hash_key   text        COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    PRIMARY KEY (client_id, hash)
);

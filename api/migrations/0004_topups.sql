-- Top-ups from their checkout on. Who presses Pay moves a row from pending to paying; from then on
-- its command is sent until an outcome has been seen, which makes it succeeded or failed.
CREATE TABLE topups (
    topup_id     text        COLLATE "C" PRIMARY KEY,
    merchant_id  text        COLLATE "C" NOT NULL,
    environment  text        COLLATE "C" NOT NULL,
    wallet_id    text        COLLATE "C" NOT NULL,
    amount       bigint      NOT NULL CHECK (amount > 0),
    currency     text        COLLATE "C" NOT NULL,
    status       text        COLLATE "C" NOT NULL DEFAULT 'pending'
                 CHECK (status IN ('pending', 'paying', 'succeeded', 'failed', 'cancelled', 'expired')),
    failure      text,
    token        text        COLLATE "C" NOT NULL UNIQUE,
    redirect_url text        NOT NULL,
    cancel_url   text,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX topups_of_wallet ON topups (wallet_id, created_at DESC, topup_id DESC);
CREATE INDEX topups_unsettled ON topups (updated_at) WHERE status IN ('pending', 'paying');

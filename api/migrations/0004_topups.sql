-- Top-ups from their checkout on. Who presses Pay moves a row from pending to paying; from then on
-- its command is sent until an outcome has been seen, which makes it succeeded or failed.
-- `failure` is the rule's code that refused a failed one; `attempts` and `attempted_at` say how
-- often, and when last, somebody set about sending the command, `set_aside_at` when the engine last
-- could make nothing of it.
CREATE TABLE topups (
    topup_id     text        COLLATE "C" PRIMARY KEY,
    merchant_id  text        COLLATE "C" NOT NULL REFERENCES merchants,
    environment  text        COLLATE "C" NOT NULL,
    wallet_id    text        COLLATE "C" NOT NULL,
    amount       bigint      NOT NULL CHECK (amount > 0),
    currency     text        COLLATE "C" NOT NULL,
    status       text        COLLATE "C" NOT NULL DEFAULT 'pending'
                 CHECK (status IN ('pending', 'paying', 'succeeded', 'failed', 'cancelled', 'expired')),
    failure      text        CHECK ((failure IS NULL) = (status <> 'failed')),
    token        text        COLLATE "C" NOT NULL UNIQUE,
    redirect_url text        NOT NULL,
    cancel_url   text,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    attempted_at timestamptz,
    set_aside_at timestamptz
);

CREATE INDEX topups_of_wallet ON topups (wallet_id, created_at DESC, topup_id DESC);
CREATE INDEX topups_pending ON topups (expires_at) WHERE status = 'pending';
CREATE INDEX topups_paying ON topups (attempted_at) WHERE status = 'paying';

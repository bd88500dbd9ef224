-- name: create_table
-- What is left of each lot; what a wallet owes stands as its lot 0, negative and without an end.
CREATE TABLE lots_{generation} (
    shard      integer NOT NULL,
    wallet_id  text    COLLATE "C" NOT NULL,
    lot        bigint  NOT NULL,
    remaining  bigint  NOT NULL CHECK (remaining <> 0),
    expires_at timestamptz,
    priority   integer NOT NULL,
    PRIMARY KEY (shard, wallet_id, lot)
) WITH (fillfactor = 70)

-- name: create_view
-- What readers see.
CREATE OR REPLACE VIEW lots AS
    SELECT shard, wallet_id, lot, remaining, expires_at, priority FROM lots_{generation}

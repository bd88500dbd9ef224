-- How far every wallet of a shard had come after the shard's first `position` entries, which is
-- what checkpoints count on from.
CREATE TABLE wallet_tallies (
    shard     integer NOT NULL,
    wallet_id text    COLLATE "C" NOT NULL,
    -- of its last event; 0 where all of its entries are rejections
    version   bigint  NOT NULL,
    entries   bigint  NOT NULL,
    PRIMARY KEY (shard, wallet_id)
);

CREATE TABLE wallet_tallies_taken (
    shard    integer PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0
);

-- The trees of wallets that are complete: of the first `size` entries of a shard.
CREATE TABLE wallet_trees (
    shard   integer NOT NULL,
    size    bigint  NOT NULL,
    wallets bigint  NOT NULL,
    root    bytea   NOT NULL,
    PRIMARY KEY (shard, size)
);

-- Their levels, 256 hashes of 32 bytes a tile.
CREATE TABLE wallet_tiles (
    shard  integer NOT NULL,
    size   bigint  NOT NULL,
    level  integer NOT NULL,
    index  bigint  NOT NULL,
    -- whose leaf is the first of a tile of the lowest level
    first_wallet text COLLATE "C",
    hashes bytea   NOT NULL,
    PRIMARY KEY (shard, size, level, index)
);
CREATE INDEX wallet_tiles_by_wallet ON wallet_tiles (shard, size, first_wallet) WHERE level = 0;
ALTER TABLE wallet_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

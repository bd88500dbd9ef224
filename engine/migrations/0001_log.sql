-- One row per shard of the log: everything that moves together with an append.
CREATE TABLE shards (
    shard          integer PRIMARY KEY,
    -- drawn anew by each claim; an append by an older lease matches no row
    lease          uuid,
    owner          text COLLATE "C",
    epoch          bigint NOT NULL DEFAULT 0,
    claimed_at     timestamptz,
    -- the first offset of the partition that is not decided yet
    next_offset    bigint NOT NULL DEFAULT 0,
    -- digest of the record before next_offset
    last_record    bytea,
    -- the number of entries; the next one gets this position
    position       bigint NOT NULL DEFAULT 0,
    -- entries below this position are on the events topic
    published      bigint NOT NULL DEFAULT 0,
    -- right edge of the Merkle tree over the first `position` entries
    tree           bytea NOT NULL DEFAULT '',
    last_at        timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    schema_version integer NOT NULL DEFAULT 1,
    -- why the shard's owner stopped, and what to do about it
    halted         text
) WITH (fillfactor = 20);

CREATE TABLE log (
    shard       integer     NOT NULL,
    position    bigint      NOT NULL,
    wallet_id   text        COLLATE "C" NOT NULL,
    version     bigint,
    command_id  bytea       NOT NULL,
    type        text        COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    -- the whole entry as one JSON document: what is hashed and published
    data        bytea       NOT NULL,
    PRIMARY KEY (shard, position),
    CONSTRAINT log_version_once UNIQUE (shard, wallet_id, version),
    CONSTRAINT log_command_once UNIQUE (shard, command_id)
);
ALTER TABLE log ALTER COLUMN data SET STORAGE MAIN;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- When lots of a wallet run out: what the timers work off.
CREATE TABLE due (
    shard     integer     NOT NULL,
    at        timestamptz NOT NULL,
    wallet_id text        COLLATE "C" NOT NULL,
    PRIMARY KEY (shard, at, wallet_id)
);

-- Records that no command could be read from, or that broke the decider.
CREATE TABLE dead_letters (
    shard        integer     NOT NULL,
    "offset"     bigint      NOT NULL,
    reason       text        COLLATE "C" NOT NULL,
    detail       text        NOT NULL,
    occurred_at  timestamptz NOT NULL,
    key          bytea,
    payload      bytea,
    status       text        COLLATE "C" NOT NULL DEFAULT 'open'
                 CHECK (status IN ('open', 'retried', 'discarded')),
    settled_at   timestamptz,
    published_at timestamptz,
    PRIMARY KEY (shard, "offset")
);
CREATE INDEX dead_letters_unpublished ON dead_letters (shard, "offset")
    WHERE published_at IS NULL;

-- Where a command went that stood in a partition that is not its wallet's home.
CREATE TABLE forwards (
    shard       integer NOT NULL,
    "offset"    bigint  NOT NULL,
    home        integer NOT NULL,
    home_offset bigint  NOT NULL,
    PRIMARY KEY (shard, "offset")
);

-- The state of a wallet after one of its entries, so that a load needs only what came after.
CREATE TABLE snapshots (
    shard       integer NOT NULL,
    wallet_id   text    COLLATE "C" NOT NULL,
    version     bigint  NOT NULL,
    -- the entry that the snapshot ends at
    position    bigint  NOT NULL,
    leaf_hash   bytea   NOT NULL,
    -- of the shape of the state; another release's snapshots are passed over
    fingerprint bytea   NOT NULL,
    state       bytea   NOT NULL,
    PRIMARY KEY (shard, wallet_id)
);

-- The lower levels of each shard's Merkle tree, 256 hashes of 32 bytes a tile.
CREATE TABLE tiles (
    shard  integer NOT NULL,
    level  integer NOT NULL,
    index  bigint  NOT NULL,
    hashes bytea   NOT NULL,
    PRIMARY KEY (shard, level, index)
);
ALTER TABLE tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- What the topics looked like when the first engine started on this database.
CREATE TABLE topology (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    commands_topic text    NOT NULL,
    events_topic   text    NOT NULL,
    partitions     integer NOT NULL
);

-- For people: the log with its documents readable.
CREATE VIEW log_entries AS
    SELECT shard, position, wallet_id, version, type, occurred_at,
           convert_from(data, 'UTF8')::jsonb AS entry
      FROM log;

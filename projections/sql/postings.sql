-- name: create_table
-- Double entry: the lines of one position sum to 0. A positive amount goes into the account.
CREATE TABLE postings_{generation} (
    shard    integer NOT NULL,
    position bigint  NOT NULL,
    line     integer NOT NULL,
    account  text    COLLATE "C" NOT NULL,
    currency text    COLLATE "C" NOT NULL,
    amount   bigint  NOT NULL,
    PRIMARY KEY (shard, position, line)
)

-- name: create_view
-- What readers see.
CREATE OR REPLACE VIEW postings AS
    SELECT shard, position, line, account, currency, amount FROM postings_{generation}

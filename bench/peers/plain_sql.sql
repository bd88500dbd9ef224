-- name: create_tables
-- What a ledger written by hand has: balances, and a line for each change, no reference twice.
CREATE TABLE accounts (
    id      integer PRIMARY KEY,
    balance bigint NOT NULL CHECK (balance >= 0)
) WITH (fillfactor = 50);
CREATE TABLE entries (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account       integer NOT NULL REFERENCES accounts,
    reference     text COLLATE "C" NOT NULL,
    amount        bigint NOT NULL,
    balance_after bigint NOT NULL,
    description   text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account, reference)
)

-- name: open
-- So many funded accounts.
INSERT INTO accounts (id, balance) SELECT number, $2 FROM generate_series(0, $1 - 1) AS number

-- name: debit
-- One lock on a row, one insert, one round trip, one commit; nothing if the funds do not suffice.
WITH debited AS (
    UPDATE accounts SET balance = balance - $2 WHERE id = $1 AND balance >= $2 RETURNING balance
)
INSERT INTO entries (account, reference, amount, balance_after, description)
SELECT $1, $3, $2, balance, $4 FROM debited
RETURNING balance_after

-- name: balances
-- What the entries leave of the funds, account by account, where it is what the account says.
SELECT a.balance
  FROM accounts AS a
  LEFT JOIN (SELECT account, sum(amount) AS spent FROM entries GROUP BY account) AS e
         ON e.account = a.id
 WHERE a.balance = $1 - coalesce(e.spent, 0)

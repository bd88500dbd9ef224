-- name: claim
-- Draw a new lease, which fences every older one. No row: a newer release wrote this shard.
UPDATE shards
   SET lease = $2, owner = $3, epoch = epoch + 1, claimed_at = clock_timestamp(), halted = NULL
 WHERE shard = $1 AND schema_version <= $4
RETURNING shard, lease, epoch, next_offset, last_record, position, published, tree, last_at;

-- name: read_shard
-- The row as it stands, to tell why a claim or an append matched nothing.
SELECT lease, next_offset, position, schema_version, clock_timestamp() AS database_now
  FROM shards WHERE shard = $1;

-- name: append
-- One batch, whole or not at all: everything hangs on the compare-and-set of the first part.
-- {more} stands for `append_more`, or for nothing where a batch has nothing of it.
WITH fence AS (
    UPDATE shards
       SET next_offset = $5, position = $6, last_record = $7, tree = $8, last_at = $9,
           published = greatest(published, $10), schema_version = greatest(schema_version, $11)
     WHERE shard = $1 AND lease = $2 AND next_offset = $3 AND position = $4
       AND $9 BETWEEN clock_timestamp() - interval '5 s' AND clock_timestamp() + interval '1 s'
    RETURNING shard
), entries AS (
    INSERT INTO log (shard, position, wallet_id, version, command_id, type, occurred_at, data)
    SELECT fence.shard, $4 + e.place - 1, e.wallet_id, e.version, e.command_id, e.type, $9, e.data
      FROM fence, unnest($12::text[], $13::bigint[], $14::bytea[], $15::text[], $16::bytea[])
           WITH ORDINALITY AS e (wallet_id, version, command_id, type, data, place)
){more}
SELECT count(*) FROM fence;

-- name: append_more
-- Timers, dead letters and forwards. Few batches have any, and the server takes as long to get ready
-- for these parts as to append an entry.
, due_added AS (
    INSERT INTO due (shard, at, wallet_id)
    SELECT fence.shard, d.at, d.wallet_id
      FROM fence, unnest($17::timestamptz[], $18::text[]) AS d (at, wallet_id)
    ON CONFLICT DO NOTHING
), due_removed AS (
    DELETE FROM due
     USING fence, unnest($19::timestamptz[], $20::text[]) AS d (at, wallet_id)
     WHERE due.shard = fence.shard AND due.at = d.at AND due.wallet_id = d.wallet_id
), dead AS (
    INSERT INTO dead_letters (shard, "offset", reason, detail, occurred_at, key, payload)
    SELECT fence.shard, d.record_offset, d.reason, d.detail, $9, d.key, d.payload
      FROM fence, unnest($21::bigint[], $22::text[], $23::text[], $24::bytea[], $25::bytea[])
           AS d (record_offset, reason, detail, key, payload)
), forwarded AS (
    INSERT INTO forwards (shard, "offset", home, home_offset)
    SELECT fence.shard, f.record_offset, f.home, f.home_offset
      FROM fence, unnest($26::bigint[], $27::integer[], $28::bigint[])
           AS f (record_offset, home, home_offset)
)

-- name: find_outcomes
-- What was recorded under these ids, for the digests of the bodies in it.
-- One ordered walk of the index: a join would search it from the root for each id.
-- Only as much of an entry as holds the digest: a repeat of a few bytes can name the largest one.
SELECT command_id, substring(data FOR $3) AS data FROM log WHERE shard = $1 AND command_id = ANY ($2::bytea[]);

-- name: load_wallets
-- Each wallet's snapshot, if it is of this shape and ends at an entry that is in the log, and the
-- events after it; or only the events after a version that was reached before. A wallet without
-- either has one row with nulls. Rows end with the one that reaches the bytes.
WITH start AS (
    SELECT w.wallet_id, coalesce(w.reached, s.version) AS version, s.state
      FROM unnest($2::text[], $4::bigint[]) AS w (wallet_id, reached)
      LEFT JOIN snapshots s
        ON w.reached IS NULL
       AND s.shard = $1 AND s.wallet_id = w.wallet_id AND s.fingerprint = $3
       AND s.leaf_hash = (
               SELECT sha256('\x00'::bytea || l.data)
                 FROM log l
                WHERE l.shard = $1 AND l.position = s.position
                  AND l.wallet_id = w.wallet_id AND l.version = s.version)
), found AS (
    SELECT start.wallet_id, tail.version, tail.data,
           CASE WHEN tail.version IS NULL OR tail.version = coalesce(start.version, 0) + 1
                THEN start.state END AS state
      FROM start
      LEFT JOIN LATERAL (
               SELECT version, data FROM log
                WHERE shard = $1 AND wallet_id = start.wallet_id
                  AND version > coalesce(start.version, 0)
                ORDER BY version
                LIMIT $5) AS tail ON true
), measured AS (
    SELECT found.*,
           sum(coalesce(octet_length(data), 0) + coalesce(octet_length(state), 0))
               OVER (ORDER BY wallet_id, version ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
               AS bytes_before
      FROM found
)
SELECT wallet_id, state, data
  FROM measured
 WHERE coalesce(bytes_before, 0) < $6
 ORDER BY wallet_id, version;

-- name: read_entries
-- Entries of a shard in order of position, to the one that reaches the bytes.
SELECT position, wallet_id, type, occurred_at, data
  FROM (
    SELECT *, sum(octet_length(data))
                  OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                  AS bytes_before
      FROM log
     WHERE shard = $1 AND position >= $2 AND position < $3
     ORDER BY position
     LIMIT $4) AS page
 WHERE coalesce(bytes_before, 0) < $5
 ORDER BY position;

-- name: read_due
-- What has run out by now, the earliest first.
SELECT at, wallet_id FROM due WHERE shard = $1 AND at <= $2 ORDER BY at, wallet_id LIMIT $3;

-- name: next_due
-- The moment when the next lot of the shard runs out.
SELECT min(at) FROM due WHERE shard = $1;

-- name: save_snapshots
-- Keep the newer state of each wallet; one of another shape always gives way.
INSERT INTO snapshots AS kept
       (shard, wallet_id, version, position, leaf_hash, fingerprint, state)
SELECT $1, s.wallet_id, s.version, s.position, s.leaf_hash, $7, s.state
  FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[])
       AS s (wallet_id, version, position, leaf_hash, state)
ON CONFLICT (shard, wallet_id) DO UPDATE
   SET version = excluded.version, position = excluded.position,
       leaf_hash = excluded.leaf_hash, fingerprint = excluded.fingerprint, state = excluded.state
 WHERE kept.version < excluded.version OR kept.fingerprint <> excluded.fingerprint;

-- name: partial_tiles
-- The last tile of each level: where the next hashes go on.
SELECT DISTINCT ON (level) level, index, hashes
  FROM tiles WHERE shard = $1 ORDER BY level, index DESC;

-- name: save_tiles
-- Tiles only grow: a wider one replaces a narrower one.
INSERT INTO tiles AS kept (shard, level, index, hashes)
SELECT $1, t.level, t.index, t.hashes
  FROM unnest($2::integer[], $3::bigint[], $4::bytea[]) AS t (level, index, hashes)
ON CONFLICT (shard, level, index) DO UPDATE SET hashes = excluded.hashes
 WHERE length(kept.hashes) < length(excluded.hashes);

-- name: unpublished_dead_letters
-- What is not on the dead letters' topic yet, to the one that reaches the bytes.
SELECT record_offset, reason, detail, occurred_at, key, payload
  FROM (
    SELECT "offset" AS record_offset, reason, detail, occurred_at, key, payload,
           sum(coalesce(octet_length(payload), 0) + coalesce(octet_length(key), 0))
               OVER (ORDER BY "offset" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
               AS bytes_before
      FROM dead_letters
     WHERE shard = $1 AND published_at IS NULL
     ORDER BY "offset"
     LIMIT $2) AS page
 WHERE coalesce(bytes_before, 0) < $3
 ORDER BY record_offset;

-- name: mark_dead_letters_published
-- These have been acknowledged by the broker.
UPDATE dead_letters SET published_at = clock_timestamp()
 WHERE shard = $1 AND "offset" = ANY ($2::bigint[]);

-- name: halt
-- Say in the row why the owner stopped, as long as it is still the owner.
UPDATE shards SET halted = $3 WHERE shard = $1 AND lease = $2;

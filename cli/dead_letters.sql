-- name: list
-- Dead letters by place; settled ones only if $1.
SELECT shard, "offset" AS record_offset, status, reason, detail, occurred_at, settled_at,
       octet_length(payload) AS payload_bytes
  FROM dead_letters
 WHERE ($1 OR status = 'open') AND (shard, "offset") > ($2, $3)
 ORDER BY shard, "offset"
 LIMIT $4;

-- name: show
-- One dead letter, whole.
SELECT shard, "offset" AS record_offset, status, reason, detail, occurred_at, settled_at,
       published_at, key, payload
  FROM dead_letters WHERE shard = $1 AND "offset" = $2;

-- name: lock
-- One dead letter, which nobody else settles until this transaction ends.
SELECT status, settled_at, key, payload
  FROM dead_letters WHERE shard = $1 AND "offset" = $2 FOR UPDATE;

-- name: settle
-- Say what was done with an open dead letter.
UPDATE dead_letters SET status = $3, settled_at = clock_timestamp()
 WHERE shard = $1 AND "offset" = $2;

-- name: decided_up_to
-- The first undecided offset of each of these partitions.
SELECT shard, next_offset FROM shards WHERE shard = ANY ($1::integer[]);

-- name: entries_by_command
-- What was recorded under these ids.
SELECT log.shard, log.command_id, log.data
  FROM unnest($1::integer[], $2::bytea[]) AS wanted (shard, command_id)
  JOIN log ON log.shard = wanted.shard AND log.command_id = wanted.command_id;

-- name: dead_letters_at
-- Records at these places that no outcome came from.
SELECT dead.shard, dead."offset" AS record_offset, dead.reason, dead.detail
  FROM unnest($1::integer[], $2::bigint[]) AS wanted (shard, record_offset)
  JOIN dead_letters AS dead
    ON dead.shard = wanted.shard AND dead."offset" = wanted.record_offset;

-- name: forwards_at
-- Where records at these places were sent on to.
SELECT forwards.shard, forwards."offset" AS record_offset, forwards.home, forwards.home_offset
  FROM unnest($1::integer[], $2::bigint[]) AS wanted (shard, record_offset)
  JOIN forwards
    ON forwards.shard = wanted.shard AND forwards."offset" = wanted.record_offset;

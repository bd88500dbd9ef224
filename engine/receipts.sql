-- name: outcomes
-- Those of these records that are decided, each with what is recorded under its ids, if anything.
-- One statement sees one moment, so what is decided is there to be found.
SELECT wanted.place, outcome.data AS outcome, conflict.data AS conflict
  FROM unnest($1::integer[], $2::bigint[], $3::bytea[], $4::bytea[])
       WITH ORDINALITY AS wanted (shard, record_offset, command_id, conflict_id, place)
  JOIN shards ON shards.shard = wanted.shard AND shards.next_offset > wanted.record_offset
  LEFT JOIN log AS outcome
    ON outcome.shard = wanted.shard AND outcome.command_id = wanted.command_id
  LEFT JOIN log AS conflict
    ON conflict.shard = wanted.shard AND conflict.command_id = wanted.conflict_id;

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

-- name: shards
-- Every shard with how far it is.
SELECT shard, owner, epoch, claimed_at, next_offset, position, published, halted
  FROM shards ORDER BY shard;

-- name: topology
-- The topics that this database belongs to.
SELECT commands_topic, events_topic, partitions FROM topology;

-- name: models
-- How many entries each live read model has not taken in yet.
SELECT shard, name, log_position - position AS lag FROM live_checkpoints ORDER BY shard, name;

-- name: open_dead_letters
-- How many dead letters nobody has settled.
SELECT shard, count(*) AS letters FROM dead_letters WHERE status = 'open' GROUP BY shard;

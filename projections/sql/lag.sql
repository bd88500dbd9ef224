-- name: lag
-- How many entries each live read model lacks of each shard, and since when it lacks the first.
SELECT m.name, m.shard, m.log_position - m.position AS entries,
       coalesce(extract(epoch FROM clock_timestamp() - first_missing.occurred_at), 0)::float8
           AS seconds
  FROM live_checkpoints AS m
  LEFT JOIN LATERAL (
       SELECT l.occurred_at FROM log AS l
        WHERE l.shard = m.shard AND l.position = m.position AND m.position < m.log_position
        LIMIT 1
       ) AS first_missing ON true;

-- name: open_dead_letters
-- How many dead letters nobody has settled, by reason.
SELECT reason, count(*) AS letters FROM dead_letters WHERE status = 'open' GROUP BY reason;

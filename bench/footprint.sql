-- name: sizes
-- Bytes of tables, with what they keep out of line, and of indexes, by name. Without the catalog.
SELECT c.relname AS name,
       pg_table_size(c.oid) AS table_bytes,
       pg_indexes_size(c.oid) AS index_bytes
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname = 'public';

-- name: wal
-- Bytes of WAL that the server has written since ever.
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint;

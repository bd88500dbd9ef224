-- Which generations of each read model there are. Readers see the live one, through a view.
CREATE TABLE projections (
    name       text        COLLATE "C" NOT NULL,
    generation integer     NOT NULL CHECK (generation > 0),
    -- of the SQL that fills it; a projector fills only what its own release knows
    version    integer     NOT NULL,
    live       boolean     NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, generation)
);
CREATE UNIQUE INDEX projections_live_once ON projections (name) WHERE live;

-- Entries of the shard below `position` are in the model.
CREATE TABLE checkpoints (
    name       text    COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    shard      integer NOT NULL,
    position   bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (name, generation, shard),
    FOREIGN KEY (name, generation) REFERENCES projections ON DELETE CASCADE
) WITH (fillfactor = 20);

-- How far the models that readers see have come.
CREATE VIEW live_checkpoints AS
    SELECT p.name, p.generation, s.shard, coalesce(c.position, 0) AS position,
           s.position AS log_position
      FROM projections AS p
     CROSS JOIN shards AS s
      LEFT JOIN checkpoints AS c
        ON c.name = p.name AND c.generation = p.generation AND c.shard = s.shard
     WHERE p.live;

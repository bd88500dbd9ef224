"""What is looked at once all has drained: each thing spoilt in turn after a run that kept its promises."""

import pytest
from msgspec.structs import replace

from engine.wallet import decode_wallet, encode_wallet
from tests.simulation.plan import Plan, Rates
from tests.simulation.violation import Violation
from tests.simulation.world import World


@pytest.fixture(scope="module")
def world():
    """After a run without faults."""
    plan = replace(Plan.draw(0), faults=[], rates=Rates(), quiet_at_ms=8_000)
    world = World(replace(plan, settings=plan.settings | {"snapshot_every_versions": 2}))
    world.run()
    return world


@pytest.fixture(autouse=True)
def as_it_was(world):
    """Each test finds what the run left."""
    yield
    world.checks.final()
    assert world.checks.drained() is None


class Spoiling:
    """Changes an item of a mapping, and puts it back."""

    def __init__(self, mapping, key, value):
        self.mapping, self.key, self.value = mapping, key, value

    def __enter__(self):
        self.before = self.mapping[self.key]
        if self.value is None:
            del self.mapping[self.key]
        else:
            self.mapping[self.key] = self.value

    def __exit__(self, *_):
        self.mapping[self.key] = self.before


@pytest.mark.parametrize(
    ("model", "column"),
    [
        ("wallets", "balance"),
        ("wallets", "version"),
        ("transactions", "amount"),
        ("lots", "remaining"),
        ("postings", "amount"),
    ],
)
def test_a_wrong_row_of_a_model_is_found(world, model, column):
    rows = world.database.models[model].rows
    key, row = next(iter(rows.items()))
    wrong = replace(row, **{column: getattr(row, column) + 1})
    with Spoiling(rows, key, wrong), pytest.raises(Violation, match=f"model_{model}"):
        world.checks.final()


@pytest.mark.parametrize("model", ["wallets", "transactions", "lots", "postings"])
def test_a_row_that_a_model_lacks_is_found(world, model):
    rows = world.database.models[model].rows
    with Spoiling(rows, next(iter(rows)), None), pytest.raises(Violation, match="is missing"):
        world.checks.final()


def test_a_row_too_many_is_found(world):
    rows = world.database.models["lots"].rows
    key, row = next(iter(rows.items()))
    more = (key[0], key[1], 10_000)
    rows[more] = row
    with pytest.raises(Violation, match="is too much"):
        world.checks.final()
    del rows[more]


def busiest(world):
    return max(world.database.tables.values(), key=lambda tables: len(tables.log))


def test_a_wrong_tile_is_found(world):
    tiles = busiest(world).tiles[0]
    spoilt = tiles[0][:-1] + bytes([tiles[0][-1] ^ 1])
    with Spoiling(tiles, 0, spoilt), pytest.raises(Violation, match="tile"):
        world.checks.final()


@pytest.mark.parametrize("change", [{"version": 1_000}, {"leaf_hash": b""}, {"position": 10_000}])
def test_a_wrong_snapshot_is_found(world, change):
    snapshots = busiest(world).snapshots
    wallet_id, row = next(iter(snapshots.items()))
    wrong = replace(row, **change)
    with Spoiling(snapshots, wallet_id, wrong), pytest.raises(Violation, match="snapshot"):
        world.checks.final()


def test_a_snapshot_of_another_state_is_found(world):
    snapshots = busiest(world).snapshots
    wallet_id, row = next(iter(snapshots.items()))
    another = next(each for name, each in snapshots.items() if name != wallet_id)
    wrong = replace(row, state=another.state)
    with Spoiling(snapshots, wallet_id, wrong), pytest.raises(Violation, match="snapshot"):
        world.checks.final()


def test_a_snapshot_with_other_lots_is_found(world):
    snapshots = busiest(world).snapshots
    wallet_id, row, state = next(
        (wallet_id, row, state)
        for wallet_id, row in snapshots.items()
        if (state := decode_wallet(row.state)).lots
    )
    lots = (replace(state.lots[0], priority=7), *state.lots[1:])
    wrong = replace(row, state=encode_wallet(replace(state, lots=lots)))
    with Spoiling(snapshots, wallet_id, wrong), pytest.raises(Violation, match="snapshot"):
        world.checks.final()


def test_a_forward_that_nobody_asked_for_is_found(world):
    tables = busiest(world)
    tables.forwards[10_000] = None
    with pytest.raises(Violation, match="unasked_row"):
        world.checks.final()
    del tables.forwards[10_000]


def test_what_is_not_drained_is_told(world):
    checks = world.checks
    shard = max(world.database.tables, key=lambda shard: len(world.database.tables[shard].log))
    row = world.database.shards[shard]
    fewer = replace(row, next_offset=row.next_offset - 1, published=row.published - 1)
    with Spoiling(world.database.shards, shard, fewer):
        missing = checks.drained()
    assert f"shard {shard} is at {fewer.next_offset} of {row.next_offset}" in missing
    assert f"shard {shard} knows of {fewer.published} published" in missing
    key = ("wallets", 1, shard)
    behind = replace(world.database.checkpoints[key], position=1)
    with Spoiling(world.database.checkpoints, key, behind):
        assert f"wallets has 1 of {row.position} of shard {shard}" in checks.drained()


def test_a_worker_that_takes_a_shard_back_and_forth_is_found(world):
    claims = world.checks.claims[0]
    row = world.database.shards[0]
    owners = [f"worker-{turn % 2}" for turn in range(10)]
    with (
        Spoiling(world.database.shards, 0, row),
        pytest.raises(Violation, match="taken_back_and_forth"),
    ):
        claim_in_turn(claims, world.database.shards, row, owners)


def claim_in_turn(claims, shards, row, owners):
    for turn, owner in enumerate(owners):
        shards[0] = replace(row, epoch=row.epoch + 1 + turn, owner=owner)
        claims.committed()

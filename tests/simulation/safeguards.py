"""The safeguards of the engine, each with how to take it out: so that the simulation shows its worth.

A removal changes what the running code does, in this process and for as long as the context lasts.
Where one safeguard stands behind another, both are taken out, and only the harm that the second
one prevents counts as finding it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple
from unittest.mock import patch
from uuid import UUID

import asyncpg
from aiokafka.errors import KafkaError

from engine import batch, intake, lease, log
from engine.assignment import PartitionMembership
from engine.batch import Batch, Deciding
from engine.lease import Lease
from engine.log import Append, ShardLog
from engine.merkle import Frontier
from engine.placement import Placement
from engine.producing import Forwarder
from engine.publisher import Publisher
from projections import projector
from tests.simulation.loop import current_process
from tests.simulation.world import World
from tests.support.fence import CONDITIONS, append_without

Removal = Callable[[ExitStack], None]


class Safeguard(NamedTuple):
    """`remove` takes it out; the simulation finds that within `seeds_max` seeds.

    Violations of the kinds that are `unasked` are let pass, and the end of a run is none.
    """

    what: str
    seeds_max: int
    remove: Removal
    unasked: frozenset[str] = frozenset()

    @contextmanager
    def removed(self) -> Iterator[None]:
        """Take it out, and put it back."""
        with ExitStack() as stack:
            self.remove(stack)
            yield

    def is_found_by(self, kind: str | None) -> bool:
        """Whether a run that ended so has found that it is missing."""
        return kind is not None and not (self.unasked and kind == "not_drained")


def _editing(queries: dict[str, str], name: str, *edits: tuple[str, str]) -> Removal:
    """Edits the text of a query, which has to hold what is replaced."""

    def remove(stack: ExitStack) -> None:
        text = queries[name]
        for there, instead in edits:
            if there not in text:
                raise AssertionError(f"the query {name} does not say {there!r} any more")
            text = text.replace(there, instead)
        stack.enter_context(patch.dict(queries, {name: text}))

    return remove


def _replacing(owner: Any, name: str, make: Callable[[Any], Any]) -> Removal:
    """Replaces a function or an attribute by what `make` makes of it."""

    def remove(stack: ExitStack) -> None:
        stack.enter_context(patch.object(owner, name, make(getattr(owner, name))))

    return remove


def _fence_without(*conditions: str) -> Removal:
    def remove(stack: ExitStack) -> None:
        without = append_without(*conditions)
        stack.enter_context(patch.dict(log._QUERIES, {"append": without}))

    return remove


def _any_start(_: Any) -> Any:
    def place(self: Placement, first: int, last: int) -> str:
        self.expected = last + 1
        return "accept"

    return place


def _offset_after(append: Any) -> Any:
    async def append_twice(self: ShardLog, whole: Append) -> None:
        moved = {name: getattr(whole, name) for name in Append.__struct_fields__}
        await append(self, Append(**moved | {"to_offset": whole.from_offset}))
        offset = moved | {
            "from_position": whole.to_position,
            **{name: [] for name in ("wallet_ids", "versions", "command_ids", "types", "data")},
            **{name: [] for name in ("due_added", "due_removed", "dead_letters", "forwards")},
        }
        await append(self, Append(**offset))

    return append_twice


def _forgetting_outcomes(finish: Any) -> Any:
    def finish_and_forget(self: Deciding, *arguments: Any) -> Batch:
        batch: Batch = finish(self, *arguments)
        batch.outcomes = {}
        return batch

    return finish_and_forget


def _from_cache_alone(states: Any) -> Any:
    async def states_without_batch(self: Lease, wallet_ids: set[str]) -> Any:
        decided, self._decided = self._decided, None
        try:
            return await states(self, wallet_ids)
        finally:
            self._decided = decided

    return states_without_batch


def _append_believing(append: Any) -> Any:
    async def append_believed(self: Lease, batch: Batch) -> None:
        # all that was handed to the producer, whether or not it has arrived
        self._publisher.published = self._publisher.committed
        await append(self, batch)

    return append_believed


def _never_dropping(_: Any) -> Any:
    async def keep_producer(self: Publisher) -> None:
        return

    return keep_producer


def _shared_cache(cache: Any) -> Any:
    kept: dict[Any, Any] = {}

    def of_process(wallets_max: int) -> Any:
        return kept.setdefault(current_process(), cache(wallets_max))

    return of_process


def _kept_before(hand_over: Any) -> Any:
    async def keep_and_hand_over(self: Lease, batch: Batch, *records: Any, **options: Any) -> bool:
        self._cache.keep(batch.wallets)
        return bool(await hand_over(self, batch, *records, **options))

    return keep_and_hand_over


def _noted_before(append: Any) -> Any:
    async def note_and_append(self: Lease, batch: Batch) -> None:
        self._keeper._snapshots.update(
            (snapshot.wallet_id, snapshot) for snapshot in batch.snapshots
        )
        await self._keeper.flush()
        await append(self, batch)

    return note_and_append


def _unacknowledged(forward: Any) -> Any:
    async def forward_and_hope(self: Forwarder, strays: Sequence[Any]) -> list[int]:
        try:
            return list(await forward(self, strays))
        except (KafkaError, OSError):
            return [0] * len(strays)

    return forward_and_hope


def _nothing_async(_: Any) -> Any:
    async def nothing(*_: Any) -> None:
        return

    return nothing


def _nothing(_: Any) -> Any:
    return lambda *_: None


def _without_due(arguments: Any) -> Any:
    def arguments_without_due(self: ShardLog, append: Append) -> Any:
        append.due_added = set()
        return arguments(self, append)

    return arguments_without_due


def _no_outcomes(_: Any) -> Any:
    async def nothing_recorded(self: Lease, ids: list[bytes]) -> dict[bytes, bytes]:
        return {}

    return nothing_recorded


def _believed_done(append: Any) -> Any:
    async def append_or_believe(self: ShardLog, batch: Append) -> None:
        try:
            await append(self, batch)
        except (OSError, asyncpg.PostgresConnectionError):
            return

    return append_or_believe


def _always_forward(_: Any) -> Any:
    return lambda record, stray, taken: taken.strays.append(stray)


SAFEGUARDS: Final[dict[str, Safeguard]] = {
    "lease": Safeguard("the lease in the fence", 200, _fence_without("lease")),
    "place": Safeguard(
        "next_offset and position in the fence, behind the lease",
        300,
        _fence_without("lease", "next_offset", "position"),
        unasked=frozenset({"appended_after_fencing", "shard_halted"}),
    ),
    "next_offset": Safeguard("next_offset in the fence", 200, _fence_without("next_offset")),
    "position": Safeguard("position in the fence", 200, _fence_without("position")),
    "clock": Safeguard("the clock's bounds in the fence", 200, _fence_without("clock")),
    "random_lease": Safeguard(
        "a lease that no other claim draws",
        200,
        _replacing(World, "_uuid4", lambda _: lambda self: UUID(int=1)),
    ),
    "batch_start": Safeguard(
        "the rule for a batch's start", 200, _replacing(Placement, "place", _any_start)
    ),
    "offset_with_entries": Safeguard(
        "offset and entries in one transaction", 20, _replacing(ShardLog, "append", _offset_after)
    ),
    "references_in_flight": Safeguard(
        "references of the batch under way",
        200,
        _replacing(Deciding, "finish", _forgetting_outcomes),
    ),
    "wallets_in_flight": Safeguard(
        "wallets of the batch under way", 200, _replacing(Lease, "_states", _from_cache_alone)
    ),
    "recorded_references": Safeguard(
        "references in the log", 20, _replacing(Lease, "_recorded", _no_outcomes)
    ),
    "publish_checkpoint": Safeguard(
        "published only covers what was acknowledged",
        200,
        _replacing(Lease, "_append", _append_believing),
    ),
    "new_producer": Safeguard(
        "a new producer after each error",
        200,
        _replacing(Publisher, "_drop_producer", _never_dropping),
    ),
    "cache_of_lease": Safeguard(
        "a cache that dies with its lease", 200, _replacing(lease, "WalletCache", _shared_cache)
    ),
    "cache_after_commit": Safeguard(
        "a cache that keeps only what was appended",
        200,
        _replacing(Lease, "_hand_over", _kept_before),
    ),
    "snapshot_after_commit": Safeguard(
        "snapshots of committed states alone", 200, _replacing(Lease, "_append", _noted_before)
    ),
    "projection": Safeguard(
        "the compare-and-set of a projection's checkpoint",
        200,
        _editing(projector._QUERIES, "advance", CONDITIONS["position"]),
    ),
    "forward_acknowledged": Safeguard(
        "a forward is acknowledged before the commit",
        200,
        _replacing(Forwarder, "forward", _unacknowledged),
    ),
    "forwarded_once": Safeguard(
        "what was forwarded is not forwarded again",
        20,
        _replacing(intake, "_stray", _always_forward),
    ),
    "conflict_ids": Safeguard(
        "refusals are looked for under their conflict ids",
        200,
        _replacing(lease, "may_have_been_refused", lambda _: lambda *_: False),
    ),
    "foreign": Safeguard(
        "a foreign command takes up no reference",
        20,
        _replacing(batch, "is_foreign", lambda _: lambda *_: False),
    ),
    "expiry_first": Safeguard(
        "lots expire before a command", 20, _replacing(batch._Staged, "expire", _nothing)
    ),
    "time_forwards": Safeguard(
        "a shard's time never goes back",
        200,
        _replacing(Lease, "_now", lambda _: lambda self: self._clock()),
    ),
    "membership": Safeguard(
        "proof of membership before a worker claims again",
        400,
        _replacing(PartitionMembership, "prove", _nothing_async),
    ),
    "letters_marked": Safeguard(
        "the mark of a published dead letter",
        20,
        _replacing(ShardLog, "mark_dead_letters_published", _nothing_async),
    ),
    "due_rows": Safeguard(
        "rows of what is due, with the entries",
        20,
        _replacing(ShardLog, "_arguments_of_more", _without_due),
    ),
    "frontier_copied": Safeguard(
        "a refused batch leaves the tree as it was",
        200,
        _replacing(Frontier, "copy", lambda _: lambda self: self),
    ),
    "claim_after_doubt": Safeguard(
        "what became of an append whose reply is lost is settled by a claim",
        200,
        _replacing(ShardLog, "append", _believed_done),
    ),
}

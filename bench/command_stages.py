"""Which stage of a command's way through the engine a function belongs to."""

from collections.abc import Sequence

REST = "the rest"
STAGES = (
    "fetch",
    "decode",
    "look-up",
    "decide",
    "encode",
    "hash",
    "append",
    "publish",
    "snapshots and tiles",
)

_KNOWN = (
    ("decode_entry (schemas/entries.py", "look-up"),
    ("encode_entry (schemas/entries.py", "encode"),
    ("encode (engine/batch.py", "encode"),
    ("_encode (engine/batch.py", "encode"),
    ("encode_wallet (engine/wallet.py", "snapshots and tiles"),
    ("decode_wallet (engine/wallet.py", "look-up"),
    ("expiry_id (schemas/digests.py", "decide"),
    ("further_id (schemas/digests.py", "decide"),
    ("(schemas/digests.py", "decode"),
    ("(schemas/commands.py", "decode"),
    ("(schemas/instants.py", "decode"),
    ("(engine/topology.py", "decode"),
    ("(engine/intake.py", "decode"),
    ("(engine/backlog.py", "decode"),
    ("(engine/decider.py", "decide"),
    ("(engine/lots.py", "decide"),
    ("(engine/wallet.py", "decide"),
    ("finish (engine/batch.py", "hash"),
    ("(engine/batch.py", "decide"),
    ("(engine/merkle/tiles.py", "snapshots and tiles"),
    ("(engine/merkle/tiler.py", "snapshots and tiles"),
    ("(engine/keeper.py", "snapshots and tiles"),
    ("(engine/merkle/", "hash"),
    ("(engine/cache.py", "look-up"),
    ("_states (engine/lease.py", "look-up"),
    ("_recorded (engine/lease.py", "look-up"),
    ("_take_ahead (engine/lease.py", "decode"),
    ("find_outcomes (engine/log.py", "look-up"),
    ("load_wallets (engine/log.py", "look-up"),
    ("_fold (engine/log.py", "look-up"),
    ("_replay (engine/log.py", "look-up"),
    ("save_snapshots (engine/log.py", "snapshots and tiles"),
    ("save_tiles (engine/log.py", "snapshots and tiles"),
    ("_arguments (engine/log.py", "append"),
    ("append (engine/log.py", "append"),
    ("_append (engine/lease.py", "append"),
    ("(engine/publisher.py", "publish"),
    ("(engine/producing.py", "publish"),
    ("(engine/events_topic.py", "publish"),
    ("(aiokafka/producer/", "publish"),
    ("(engine/consumer.py", "fetch"),
    ("(engine/assignment.py", "fetch"),
    ("(engine/fetched_records.py", "fetch"),
    ("(engine/record_queue.py", "fetch"),
    ("(engine/placement.py", "fetch"),
    ("(aiokafka/consumer/", "fetch"),
    ("(faststream/", "fetch"),
)
_READS_OF_SOCKETS = "(aiokafka/"
"""What is read for nobody in particular is nearly all records that were fetched."""


def stage_of(frames: Sequence[str]) -> str:
    """The stage of a stack, given as `Class.function (file)`, outermost first."""
    for frame in reversed(frames):
        if (stage := _stage_of_function(frame)) is not None:
            return stage
    return "fetch" if any(_READS_OF_SOCKETS in frame for frame in frames) else REST


def _stage_of_function(frame: str) -> str | None:
    name, _, place = frame.partition(" ")
    function = f"{name.rpartition('.')[2]} {place}"
    for part, stage in _KNOWN:
        if function.startswith(part) or (part[0] == "(" and place.startswith(part)):
            return stage
    return None

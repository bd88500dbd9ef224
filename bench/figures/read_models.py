"""How fast all read models are filled from the log, before they are compared with a replay."""

import time

from bench.copied_models import copy_in_s, copy_out
from bench.figure import Figure, Measurement, at_least
from bench.filled_log import filled_log
from bench.session import Run
from projections.models import PROJECTIONS
from projections.rebuild import RebuildProgress, rebuild


class _Filling:
    """Hears of a rebuild's stages, and when the comparison began."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.seconds = 0.0

    def note(self, now: RebuildProgress) -> None:
        if now.stage == "compare" and not self.seconds:
            self.seconds = time.perf_counter() - self._start


async def measure(run: Run) -> Measurement:
    """Rebuilds all models as `wallet rebuild` does; the clock stands when they are compared."""
    site = await run.bench.prepared(filled_log)
    async with site.database() as connection:
        entries = await connection.fetchval("SELECT sum(position)::bigint FROM shards")
        run.say(f"rebuilding all read models from {entries:,} entries")
        await connection.execute("CHECKPOINT")
        filling = _Filling()
        await rebuild(site.settings.database_url, PROJECTIONS, filling.note)
        copies = await copy_out(connection)
    copied = {
        "in_turn": await copy_in_s(run.stack.database_url, copies, at_once=False),
        "at_once": await copy_in_s(run.stack.database_url, copies, at_once=True),
    }
    return Measurement(
        entries / filling.seconds,
        entries / min(copied.values()),
        {
            "entries": entries,
            "fill_s": filling.seconds,
            "copy_s": copied,
            "copied_bytes": {name: len(rows) for name, rows in copies.items()},
        },
    )


FIGURE = Figure(
    name="read-models",
    title="filling all read models from the log, before the comparison",
    unit="entries/s",
    ceiling="COPY of the same rows, alone",
    ceiling_unit="entries/s",
    goal=at_least(0.5),
    measure=measure,
    expected_s=90,
)

"""Goals of the benchmark, and the guard against losing what was reached."""

import json

import pytest

from bench.__main__ import read_options
from bench.baseline import COMMITTED, losses, read_baseline, write_baseline
from bench.command_stages import REST, STAGES, stage_of
from bench.errors import BenchError
from bench.figure import Figure, Measurement, at_least, at_most
from bench.figures import FIGURES
from bench.table import as_document, is_met, print_table


async def _unmeasured(_run):
    raise AssertionError


def _figure(name, goal):
    return Figure(name, name, "rows/s", "the same alone", "rows/s", goal, _unmeasured)


RATE, TIME = _figure("rate", at_least(0.5)), _figure("time", at_most(3))


def _runs(*ratios, shortfall=""):
    return [Measurement(100 * ratio, 100, shortfall=shortfall) for ratio in ratios]


def test_the_figures_and_their_goals():
    assert [(figure.name, str(figure.goal)) for figure in FIGURES] == [
        ("uniform", "at least 0.5"),
        ("projector", "at least 0.35"),
        ("million-wallets", "at least 0.6"),
        ("hot-wallet", "at least 0.9"),
        ("lots", "at least 0.6"),
        ("read-models", "at least 0.5"),
        ("verify", "at least 0.5"),
        ("long-wallet", "at most 1.1"),
        ("claim", "at most 1.5"),
        ("http-rate", "at least 0.3"),
        ("http-idle", "at most 3"),
        ("memory", "at most 1.3"),
    ]


def test_the_quick_ones():
    quick = [number for number, figure in enumerate(FIGURES, 1) if figure.is_quick]
    assert quick == [1, 2, 4, 11]


@pytest.mark.parametrize(
    ("figure", "ratios", "met"),
    [
        (RATE, (0.4, 0.5, 0.6), True),
        (RATE, (0.4, 0.49, 0.9), False),
        (TIME, (2.0, 3.0, 9.0), True),
        (TIME, (2.0, 3.1, 3.2), False),
    ],
)
def test_the_median_has_to_reach_the_goal(figure, ratios, met):
    assert is_met(figure, _runs(*ratios)) is met


def test_a_condition_that_was_not_fulfilled_misses_the_goal():
    assert not is_met(RATE, [*_runs(0.9, 0.9), *_runs(0.9, shortfall="visible too late")])


@pytest.mark.parametrize(
    ("figure", "now", "lost"),
    [
        (RATE, 0.41, False),
        (RATE, 0.39, True),
        (RATE, 0.9, False),
        (TIME, 0.62, False),
        (TIME, 0.63, True),
        (TIME, 0.1, False),
    ],
)
def test_more_than_a_fifth_worse_than_the_baseline_is_a_loss(figure, now, lost):
    found = losses([figure], {figure.name: now}, {figure.name: 0.5})
    assert bool(found) is lost


def test_a_loss_says_which_and_how_much():
    assert losses([RATE], {"rate": 0.25}, {"rate": 0.5}) == [
        "rate has lost 50%: its ratio was 0.50, and is 0.25"
    ]


def test_a_figure_that_has_no_baseline_is_told_of():
    assert losses([RATE], {"rate": 0.25}, {}) == ["rate has no baseline"]


def test_a_baseline_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "baseline.json"
    write_baseline(path, {"rate": 0.51})
    assert read_baseline(path) == {"rate": 0.51}


@pytest.mark.parametrize("content", [None, "{"])
def test_a_baseline_that_cannot_be_read_says_how_to_make_one(tmp_path, content):
    path = tmp_path / "baseline.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BenchError, match="--write-baseline"):
        read_baseline(path)


def test_the_table_shows_median_spread_and_whether_the_goal_was_met(capsys):
    measured = {"rate": _runs(0.7, 0.5, 0.6), "time": _runs(4, 4, 4, shortfall="too late")}
    print_table([RATE, TIME], measured, "this machine")
    shown = capsys.readouterr().out
    rate, time = (
        next(line for line in shown.splitlines() if line.strip().startswith(name))
        for name in ("rate", "time")
    )
    assert "0.60  0.50-0.70  at least 0.5  met" in rate
    assert "4.00  4.00-4.00  at most 3" in time
    assert time.rstrip().endswith("missed")
    assert "time, run 2: too late" in shown


def test_the_document_has_every_run():
    document = as_document([RATE], {"rate": _runs(0.7, 0.5, 0.6)})
    assert [run["ratio"] for run in document["rate"]["runs"]] == [0.7, 0.5, 0.6]
    assert document["rate"]["median_ratio"] == 0.6
    json.dumps(document)


@pytest.mark.parametrize(
    ("frames", "stage"),
    [
        ("run (uvloop/__init__.py);Lease._decide_records (engine/lease.py)", REST),
        (
            "Lease._decide_records (engine/lease.py);ShardLog.find_outcomes (engine/log.py)",
            "look-up",
        ),
        ("ShardLog.append (engine/log.py);Connection._execute (asyncpg/connection.py)", "append"),
        ("Deciding.command (engine/batch.py);decide (engine/decider.py)", "decide"),
        ("Deciding.command (engine/batch.py);_Staged.encode (engine/batch.py)", "encode"),
        ("Deciding.finish (engine/batch.py);leaf_hashes (engine/merkle/tree.py)", "hash"),
        ("take_in (engine/intake.py);command_id (schemas/digests.py)", "decode"),
        ("Publisher._publish_some (engine/publisher.py);send (aiokafka/client.py)", "publish"),
        ("Runner.run (asyncio/runners.py);AIOKafkaConnection._read (aiokafka/conn.py)", "fetch"),
        (
            "Keeper.flush (engine/keeper.py);Tiler.add (engine/merkle/tiler.py)",
            "snapshots and tiles",
        ),
    ],
)
def test_a_look_counts_for_the_innermost_function_that_is_known(frames, stage):
    assert stage_of(frames.split(";")) == stage
    assert stage == REST or stage in STAGES


def test_what_is_compared_with_the_baseline_is_quick_and_whole():
    assert read_options(["--quick"]).baseline == COMMITTED
    assert read_options([]).baseline is None
    assert read_options(["--quick", "--scale", "0.1"]).baseline is None
    assert read_options(["--quick", "--write-baseline"]).baseline is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["--baseline", "before.json"],
        ["--quick", "--scale", "0.1", "--baseline", "before.json"],
        ["--write-baseline"],
        ["--quick", "--write-baseline", "--scale", "0.5"],
        ["--quick", "--write-baseline", "--figure", "uniform"],
        ["--figure", "nothing"],
        ["--runs", "0"],
    ],
)
def test_options_that_make_no_sense_together_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        read_options(arguments)
    assert ended.value.code == 2
    assert "usage: python -m bench" in capsys.readouterr().err


def test_without_names_all_figures_are_measured_or_the_quick_ones():
    assert read_options([]).figure == [figure.name for figure in FIGURES]
    assert len(read_options(["--quick"]).figure) == 4
    assert read_options(["--figure", "claim"]).figure == ["claim"]

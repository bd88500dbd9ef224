"""Children end when they are told to, when their parent does, and at the next start."""

import signal
import sys
import threading

import msgspec
import psutil
import pytest

from cli.stack import ManagedProcess
from cli.stack.errors import StartError
from cli.stack.leftovers import end_leftovers, end_processes_in
from tests.support.polling import poll

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


@pytest.fixture
async def child(tmp_path):
    """Makes a process that runs some Python, and has none left at the end."""
    made = []

    def make(code, **options):
        process = ManagedProcess(
            "child",
            (sys.executable, "-c", code),
            log_path=tmp_path / "child.log",
            run_dir=tmp_path / "run",
            **options,
        )
        made.append(process)
        return process

    yield make
    for process in made:
        await process.kill()


async def until_logged(process, text):
    await poll(lambda: text in process.log_tail())


async def test_run_gives_the_return_code_and_logs_both_streams(child):
    process = child("import sys; print('out', flush=True); sys.exit('err')")
    assert await process.run() == 1
    assert process.log_tail() == "out\nerr"


async def test_the_tail_of_the_log_is_of_the_last_start(child):
    process = child("import os; print(os.getpid())")
    await process.run()
    await process.run()
    assert process.log_tail() == str(process.pid)


async def test_stop_asks_first(child):
    process = child(SLEEP)
    process.start()
    await until_logged(process, "up")
    assert await process.stop() == -signal.SIGTERM


async def test_stop_kills_what_does_not_listen(child):
    process = child(STUBBORN)
    process.start()
    await until_logged(process, "up")
    assert await process.stop(timeout_s=0.1) == -signal.SIGKILL


async def test_it_is_not_in_the_process_group_that_ctrl_c_goes_to(child):
    process = child("import os; print(os.getpgrp() == os.getpid())")
    await process.run()
    assert process.log_tail() == "True"


async def test_it_is_started_once_and_from_the_main_thread(child):
    process = child(SLEEP)
    refused = []

    def start():
        try:
            process.start()
        except StartError as error:
            refused.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert refused == ["start child from the main thread: it dies with its thread"]
    process.start()
    with pytest.raises(StartError, match="running already"):
        process.start()


async def test_a_failure_names_the_log_and_shows_its_end(child):
    process = child("print('no room on the disk')")
    await process.run()
    message = str(process.failure("ended while starting"))
    assert "child ended while starting" in message
    assert str(process.log_path) in message
    assert message.endswith("no room on the disk")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's own")
async def test_a_killed_parent_takes_its_child_along(child, tmp_path):
    parent = child(f"""
import time
from pathlib import Path
from cli.stack import ManagedProcess
inner = ManagedProcess("inner", {[sys.executable, "-c", STUBBORN]!r},
    log_path=Path({str(tmp_path / "inner.log")!r}), run_dir=Path({str(tmp_path / "inner")!r}))
inner.start()
print("inner", inner.pid, flush=True)
time.sleep(60)
""")
    parent.start()
    await until_logged(parent, "inner")
    inner = int(parent.log_tail().split()[1])
    await poll((tmp_path / "inner.log").read_text)
    await parent.kill()
    await poll(lambda: not psutil.pid_exists(inner))


async def test_the_next_start_ends_what_was_left(child, tmp_path):
    process = child(STUBBORN)
    process.start()
    await until_logged(process, "up")
    assert end_leftovers(tmp_path / "run") == ["child"]
    assert not process.running
    assert end_leftovers(tmp_path / "run") == []


@pytest.mark.parametrize("change", [{"started_at": 0.0}, {"argv": ["another"]}])
async def test_a_process_that_only_has_the_same_pid_is_left_alone(child, tmp_path, change):
    process = child(SLEEP)
    process.start()
    file = tmp_path / "run" / "child.pid"
    file.write_bytes(msgspec.json.encode(msgspec.json.decode(file.read_bytes()) | change))
    assert end_leftovers(tmp_path / "run") == []
    assert process.running


async def test_a_pid_file_cut_off_in_the_middle_does_no_harm(tmp_path):
    (tmp_path / "child.pid").write_bytes(b'{"pid":')
    assert end_leftovers(tmp_path) == []


async def test_processes_are_found_by_the_directory_they_work_in(child, tmp_path):
    here, elsewhere = child(SLEEP, cwd=tmp_path), child(SLEEP)
    here.start()
    elsewhere.start()
    end_processes_in(tmp_path, psutil.Process(here.pid).name())
    assert not here.running
    assert elsewhere.running

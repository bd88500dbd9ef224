"""Ctrl-C while a command is still importing what it needs."""

import subprocess
import sys

import pytest

INTERRUPTED_BY_AN_IMPORT = """
import os, signal, sys

module, handler = sys.argv.pop(1), sys.argv.pop(1)

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
signal.signal(signal.SIGINT, getattr(signal, handler))
from cli.main import main
main()
"""


def interrupted(module: str, handler: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, "-c", INTERRUPTED_BY_AN_IMPORT]
    return subprocess.run(
        [*script, module, handler, "--help"], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("module", ["cli.app", "typer", "engine.settings", "cli.verify"])
def test_an_interrupted_import_is_one_line(module):
    done = interrupted(module, "default_int_handler")

    assert done.stderr == "wallet: interrupted before it began\n"
    assert done.returncode == 130
    assert done.stdout == ""


def test_whoever_is_started_without_interruptions_has_none():
    done = interrupted("cli.app", "SIG_IGN")

    assert (done.returncode, done.stderr) == (0, "")
    assert "wallet COMMAND --help" in done.stdout

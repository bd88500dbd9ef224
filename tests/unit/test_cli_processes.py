"""`wallet engine`, `projector` and `api` hand over to their package, with the settings."""

import pytest
from typer.testing import CliRunner

import api.process
import engine.process
import projections.process
from cli.app import app
from engine.errors import SetupError

PROCESSES = {"engine": engine.process, "projector": projections.process, "api": api.process}


@pytest.fixture
def handed_over(monkeypatch):
    """The settings that each process was run with."""
    settings = {}
    for name, module in PROCESSES.items():
        monkeypatch.setattr(module, "run", lambda given, name=name: settings.update({name: given}))
    return settings


@pytest.mark.parametrize("name", PROCESSES)
def test_settings_come_from_the_environment(handed_over, name):
    result = CliRunner(env={"WALLET_KAFKA_BOOTSTRAP": "kafka:9092"}).invoke(app, [name])

    assert result.exit_code == 0, result.output
    assert handed_over[name].kafka_bootstrap == "kafka:9092"


def test_the_api_can_be_told_where_to_listen(handed_over):
    environment = {"WALLET_API_PORT": "8081", "WALLET_API_HOST": "127.0.0.3"}

    CliRunner(env=environment).invoke(app, ["api", "--host", "127.0.0.2", "--port", "0"])
    told = handed_over["api"]
    assert (told.api_host, told.api_port) == ("127.0.0.2", 0)

    CliRunner(env=environment).invoke(app, ["api"])
    untold = handed_over["api"]
    assert (untold.api_host, untold.api_port) == ("127.0.0.3", 8081)


@pytest.mark.parametrize("name", PROCESSES)
def test_what_ends_a_process_is_one_line_and_exit_status_1(monkeypatch, name):
    def fail(_settings):
        raise SetupError("the topics are missing: create them")

    monkeypatch.setattr(PROCESSES[name], "run", fail)

    result = CliRunner().invoke(app, [name])

    assert result.exit_code == 1
    assert result.stderr == "wallet: the topics are missing: create them\n"

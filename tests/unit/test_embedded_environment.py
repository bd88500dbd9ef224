"""What the processes beside the embedded stack are told."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.embedded import embedded_environment


@pytest.fixture
def beside(tmp_path: Path) -> Any:
    return SimpleNamespace(data_dir=tmp_path)


@pytest.mark.parametrize("service", ["engine", "projector", "api"])
def test_processes_do_not_fight_over_one_port_of_metrics(
    beside: Any, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WALLET_METRICS_PORT", raising=False)
    assert "WALLET_METRICS_PORT" not in embedded_environment(beside, service, 8080)
    monkeypatch.setenv("WALLET_METRICS_PORT", "9101")
    assert embedded_environment(beside, service, 8080)["WALLET_METRICS_PORT"] == "0"

"""Everything that runs during the demo, by the commands that production uses."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from api.install import install
from cli.embedded import embedded_environment, embedded_settings, embedded_stack
from cli.kafka import reaching_kafka
from cli.processes import service_argv
from cli.readiness import Readiness, raise_if_ended
from cli.secret_key_file import secret_keys_path
from engine.settings import Settings
from engine.topics import create_topics

if TYPE_CHECKING:
    from cli.stack import ManagedProcess

_SESSION_TIMEOUT_MS: Final = 4_000
"""How long Kafka waits for a dead engine before its partitions go to the living."""


class DemoService:
    """The embedded stack, two engines, the projector and the API."""

    def __init__(self, data_dir: Path, tell: Callable[[str], None]) -> None:
        self._stack = embedded_stack(data_dir)
        self._tell = tell
        self._engines: list[ManagedProcess] = []
        self._others: list[ManagedProcess] = []
        self._api_port = 0
        self._engines_started = 0
        self.api_url = ""

    @property
    def settings(self) -> Settings:
        """Of every command beside the stack."""
        return embedded_settings(self._stack)

    @property
    def secret_keys_file(self) -> Path:
        """Where WALLET_SECRET_KEYS of this run is."""
        return secret_keys_path(self._stack.data_dir)

    async def start(self) -> None:
        """Start everything; returns when every shard has an owner and the API answers."""
        await self._stack.start(self._tell)
        await self._prepare()
        self._choose_port()
        self._tell("starting two engines in one group, the projector and the API")
        async with Readiness(self.settings.database_url, self.api_url) as readiness:
            for _ in range(2):
                self.start_engine()
            self._others = [self._spawn(name, name) for name in ("projector", "api")]
            await readiness.wait(self.processes)

    async def _prepare(self) -> None:
        settings = self.settings
        done = await install(settings.database_url)
        self._tell(f"migrated the database ({len(done)} steps)")
        with reaching_kafka(settings):
            for name in await create_topics(settings):
                self._tell(f"created topic {name} with {settings.partitions} partitions")

    def _choose_port(self) -> None:
        from cli.stack.ports import free_port  # noqa: PLC0415  # an extra, as the stack

        self._api_port = free_port()
        self.api_url = f"http://127.0.0.1:{self._api_port}"

    @property
    def processes(self) -> "list[ManagedProcess]":
        """Those that should be running."""
        return [*self._engines, *self._others]

    def start_engine(self) -> str:
        """One more engine in the group; gives its name."""
        self._engines_started += 1
        engine = self._spawn(f"engine-{self._engines_started}", "engine")
        self._engines.append(engine)
        return engine.name

    async def kill_engine(self, owner: str) -> str:
        """SIGKILL for the engine that owns shards under this name; gives the process's own."""
        pid = int(owner.rpartition(":")[2])
        engine = next(engine for engine in self._engines if engine.pid == pid)
        self._engines.remove(engine)
        await engine.kill()
        return f"{engine.name} (pid {pid})"

    def check(self) -> None:
        """Raises StackError if a process has ended that should not have."""
        raise_if_ended(self.processes)

    async def stop(self) -> None:
        """Stop everything, and wait until it has ended."""
        await self._stack.stop()

    def _spawn(self, name: str, service: str) -> "ManagedProcess":
        environment = embedded_environment(self._stack, service, self._api_port)
        # not in the temporary directory, where it would be left behind
        environment["WALLET_RATE_LIMITS_FILE"] = str(self._stack.data_dir / "rate-limits")
        environment["WALLET_SESSION_TIMEOUT_MS"] = str(_SESSION_TIMEOUT_MS)
        return self._stack.spawn(name, service_argv(service), environment)

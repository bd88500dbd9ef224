"""The whole stack on one data directory."""

import asyncio
import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TextIO

from cli.stack.errors import DataDirInUseError, DataDirUnusableError, StackError
from cli.stack.jars import ensure_jars, kafka_version
from cli.stack.kafka import Kafka
from cli.stack.leftovers import end_leftovers
from cli.stack.ports import keep_ports
from cli.stack.postgres import Postgres
from cli.stack.process import ManagedProcess

Progress = Callable[[str], None]


def _silently(_message: str) -> None:
    pass


class Stack:
    """Kafka and PostgreSQL with their data, logs and ports in `data_dir`.

    With a `wal_archive` PostgreSQL archives its WAL there, for recovery to a point in time.
    With a `kafka_proxy_port` clients are told to come to Kafka there.
    Start it from the main thread. The addresses are known after `start`; a stack that is
    started again on its data directory has the same ones, unless another program took a port.
    """

    def __init__(
        self,
        data_dir: Path,
        wal_archive: Path | None = None,
        kafka_proxy_port: int | None = None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self._kafka_proxy_port = kafka_proxy_port
        self._wal_archive = None if wal_archive is None else wal_archive.resolve()
        self._lock: TextIO | None = None
        self._kafka: Kafka | None = None
        self._postgres: Postgres | None = None
        self._spawned: list[ManagedProcess] = []

    @property
    def kafka(self) -> Kafka:
        if self._kafka is None:
            raise StackError("the stack is not started: call start() first")
        return self._kafka

    @property
    def postgres(self) -> Postgres:
        if self._postgres is None:
            raise StackError("the stack is not started: call start() first")
        return self._postgres

    @property
    def kafka_bootstrap(self) -> str:
        """host:port"""
        return self.kafka.bootstrap

    @property
    def database_url(self) -> str:
        """postgresql://wallet@host:port/wallet"""
        return self.postgres.database_url

    async def start(self, on_progress: Progress = _silently) -> None:
        """Start both and wait until they serve.

        `on_progress` gets a line for each step, at times from another thread.
        Raises StackError if it can't; what had been started is stopped again.
        """
        self._take_lock()
        try:
            for name in end_leftovers(self._run_dir):
                on_progress(f"ended {name}, left over from an earlier run")
            jars = await asyncio.to_thread(ensure_jars, on_progress)
            self._assemble(jars)
            await self._start_both(on_progress)
        except BaseException:
            await self._abandon()
            raise

    async def stop(self) -> None:
        """Stop what was spawned, then Kafka and PostgreSQL."""
        await asyncio.gather(*(process.stop() for process in self._spawned))
        self._spawned.clear()
        servers = [server for server in (self._kafka, self._postgres) if server is not None]
        await asyncio.gather(*(server.stop() for server in servers))
        self._release_lock()

    def spawn(
        self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None
    ) -> ManagedProcess:
        """Start one of our own processes beside the stack, told by WALLET_* where it is.

        `env` is added to this process's environment; the log is in logs/<name>.log. `stop`
        ends it if it still runs.
        """
        addresses = {
            "WALLET_KAFKA_BOOTSTRAP": self.kafka_bootstrap,
            "WALLET_DATABASE_URL": self.database_url,
        }
        process = ManagedProcess(
            name,
            argv,
            log_path=self._log(name),
            run_dir=self._run_dir,
            env={**os.environ, **addresses, **(env or {})},
        )
        process.start()
        self._spawned.append(process)
        return process

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _assemble(self, jars: Sequence[Path]) -> None:
        ports = keep_ports(self.data_dir / "ports.json")
        self._kafka = Kafka(
            self.data_dir / "kafka",
            jars=jars,
            port=ports.kafka,
            controller_port=ports.kafka_controller,
            advertised_port=self._kafka_proxy_port,
            log_path=self._log("kafka"),
            run_dir=self._run_dir,
        )
        self._postgres = Postgres(
            self.data_dir / "postgres",
            port=ports.postgres,
            log_path=self._log("postgres"),
            run_dir=self._run_dir,
            wal_archive=self._wal_archive,
        )

    async def _start_both(self, on_progress: Progress) -> None:
        self.postgres.end_sessions()
        on_progress(f"starting Apache Kafka {kafka_version()} and PostgreSQL")
        starts = [asyncio.create_task(server.start()) for server in (self.kafka, self.postgres)]
        try:
            await asyncio.gather(*starts)
        finally:  # what is still starting when the other fails is not waited for
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
        on_progress(f"Kafka serves at {self.kafka_bootstrap}, PostgreSQL at {self.database_url}")

    async def _abandon(self) -> None:
        servers = [server for server in (self._kafka, self._postgres) if server is not None]
        await asyncio.gather(*(server.kill() for server in servers))
        self._release_lock()

    def _take_lock(self) -> None:
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            lock = (self.data_dir / "lock").open("a+")
        except OSError as error:
            raise DataDirUnusableError(
                f"the data directory {self.data_dir} can't be used ({error.strerror}):"
                " choose another directory"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read() or "unknown"
            lock.close()
            raise DataDirInUseError(
                f"the data directory {self.data_dir} is in use by process {holder}:"
                " stop that one, or choose another directory"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _log(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    @property
    def _run_dir(self) -> Path:
        return self.data_dir / "run"

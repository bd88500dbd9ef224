"""`wallet dev`: the whole service on this machine, in the foreground."""

import asyncio
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Final

import typer
from msgspec import Struct, structs

from api.access.keys import NewKey
from api.install import install
from cli.arguments import JsonOption
from cli.embedded import embedded_environment, embedded_settings, embedded_stack
from cli.errors import PortTakenError
from cli.foreground import until_signal
from cli.kafka import reaching_kafka
from cli.output import flush, note, print_json, say
from cli.processes import service_argv
from cli.readiness import Readiness, raise_if_ended
from cli.sandbox import sandbox_merchant
from cli.secret_key_file import secret_keys_path
from engine.settings import Settings, load_settings
from engine.topics import create_topics

if TYPE_CHECKING:
    from cli.stack import ManagedProcess, Stack

DataDirOption = Annotated[
    Path, typer.Option("--data-dir", metavar="DIR", help="Where data and logs are kept.")
]
PortOption = Annotated[
    int, typer.Option("--port", min=1, max=65535, help="Where the API listens.")
]
ArchiveOption = Annotated[
    Path | None,
    typer.Option("--wal-archive", metavar="DIR", help="Archive PostgreSQL's WAL, for restores."),
]
InfraOption = Annotated[
    bool, typer.Option("--infra-only", help="Kafka and PostgreSQL alone, migrated, with topics.")
]

_PROCESSES: Final = ("engine", "projector", "api")
_WATCH_S: Final = 0.2


class Addresses(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where everything is. `key` is there at the first start, when it is made."""

    kafka_bootstrap: str
    database_url: str
    secret_keys_file: str
    logs: str
    api_url: str | None = None
    merchant_id: str | None = None
    key: NewKey | None = None


def dev(
    data_dir: DataDirOption = Path(".wallet"),
    port: PortOption = 8080,
    infra_only: InfraOption = False,
    wal_archive: ArchiveOption = None,
    json: JsonOption = False,
) -> None:
    """Run everything on this machine: Kafka, PostgreSQL, an engine, a projector, the API.

    All of it is real and in the foreground; Ctrl-C or SIGTERM stops it. Data stay
    in the data directory for the next start. The addresses are printed, and then
    `ready` when commands are decided and requests answered. The first start makes
    a sandbox merchant and a key for it, and shows the secret this once. If a
    process ends by itself, its log's last lines are shown and all is stopped.

    For example:
      wallet dev
      wallet dev --data-dir /tmp/wallets --port 8081
      wallet dev --infra-only
      wallet dev --wal-archive .wallet/wal
    """
    load_settings()
    running = _Dev(data_dir, port, infra_only=infra_only, wal_archive=wal_archive, json=json)
    asyncio.run(until_signal(running.run()))


class _Dev:
    def __init__(
        self,
        data_dir: Path,
        port: int,
        *,
        infra_only: bool,
        wal_archive: Path | None,
        json: bool,
    ) -> None:
        self._data_dir = data_dir
        self._wal_archive = wal_archive
        self._port = port
        self._infra_only = infra_only
        self._json = json

    async def run(self) -> None:
        """Start, say where everything is, and watch; everything is stopped at the end."""
        stack = embedded_stack(self._data_dir, self._wal_archive)
        await stack.start(self._tell)
        try:
            settings = embedded_settings(stack)
            await self._prepare(settings)
            addresses = self._addresses(stack)
            processes: list[ManagedProcess] = []
            if not self._infra_only:
                processes = await self._start_processes(stack, settings)
                merchant = await sandbox_merchant(settings)
                addresses = structs.replace(
                    addresses,
                    api_url=self._api_url,
                    merchant_id=merchant.merchant_id,
                    key=merchant.key,
                )
            self._print(addresses)
            await _watch([stack.kafka.process, stack.postgres.process, *processes])
        finally:
            self._tell("stopping")
            await stack.stop()

    async def _prepare(self, settings: Settings) -> None:
        for name in await install(settings.database_url):
            self._tell(f"applied {name}")
        with reaching_kafka(settings):
            for name in await create_topics(settings):
                self._tell(f"created topic {name}")

    async def _start_processes(self, stack: "Stack", settings: Settings) -> "list[ManagedProcess]":
        _check_port(self._port)
        self._tell(f"starting {', '.join(_PROCESSES)}")
        async with Readiness(settings.database_url, self._api_url) as readiness:
            processes = [
                stack.spawn(
                    name, service_argv(name), embedded_environment(stack, name, self._port)
                )
                for name in _PROCESSES
            ]
            await readiness.wait(processes)
        return processes

    @property
    def _api_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _tell(self, message: str) -> None:
        """What is being done: on standard error if standard output is for JSON."""
        (note if self._json else say)(message)
        flush()

    def _addresses(self, stack: "Stack") -> Addresses:
        return Addresses(
            kafka_bootstrap=stack.kafka_bootstrap,
            database_url=stack.database_url,
            secret_keys_file=str(secret_keys_path(stack.data_dir)),
            logs=str(stack.data_dir / "logs"),
        )

    def _print(self, addresses: Addresses) -> None:
        if self._json:
            print_json(addresses)
        else:
            _print(addresses)
        flush()


def _check_port(port: int) -> None:
    from cli.stack.ports import is_free  # noqa: PLC0415

    if not is_free(port):
        raise PortTakenError(f"port {port} is taken: choose another one with --port")


async def _watch(processes: "list[ManagedProcess]") -> None:
    """Return never; raises StackError as soon as a process has ended."""
    while True:
        raise_if_ended(processes)
        await asyncio.sleep(_WATCH_S)


def _print(addresses: Addresses) -> None:
    say(f"\n  Kafka        {addresses.kafka_bootstrap}")
    say(f"  PostgreSQL   {addresses.database_url}")
    if addresses.api_url is not None:
        say(f"  API          {addresses.api_url}")
    say(f"  logs         {addresses.logs}")
    say("\nFor other commands, in another terminal:\n")
    say(f"  export WALLET_KAFKA_BOOTSTRAP={addresses.kafka_bootstrap}")
    say(f"  export WALLET_DATABASE_URL={addresses.database_url}")
    # the keys themselves stay out of scrollback and logs
    say(f'  export WALLET_SECRET_KEYS="$(cat {quote(addresses.secret_keys_file)})"\n')
    if addresses.key is not None:
        _print_key(addresses.key, f"{addresses.api_url}")
    if addresses.merchant_id is not None:
        say(f"Keys for the sandbox of {addresses.merchant_id}, and more of them:\n")
        say(f"  wallet keys list {addresses.merchant_id}")
        say(f"  wallet keys create {addresses.merchant_id} --environment sandbox --label mine\n")
    say("ready")


def _print_key(key: NewKey, api_url: str) -> None:
    say("A key of a merchant of your own; its secret is not shown again:\n")
    say(f"  client id      {key.client_id}")
    say(f"  client secret  {key.client_secret}\n")
    say("Create a customer with it:\n")
    say(f"  curl {api_url}/v1/customers \\")
    say(f'    -u "{key.client_id}:{key.client_secret}" \\')
    say('    -H "Content-Type: application/json" \\')
    say("""    -d '{ "email": "ama@example.com", "name": "Ama Owusu" }'\n""")

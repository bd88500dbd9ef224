"""What a release left behind, as `tests/fixtures/released/record.py` recorded it, brought back to life."""

import base64
import json
import lzma
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from cli.stack import Stack
from engine.settings import Settings
from engine.topics import create_topics
from tests.support.databases import connection_to, fresh_database
from tests.support.http_deployment import HttpDeployment
from tests.support.ledger_audit import FORWARDED_HEADER
from tests.support.load import Sent
from tests.support.topics import TopicNames, delete_topics

_DIRECTORY = Path(__file__).parents[1] / "fixtures" / "released"


@dataclass(frozen=True)
class Release:
    """`told` is what it answered, `records` what its topics held, `dump` is its database."""

    told: dict[str, Any]
    records: list[dict[str, Any]]
    dump: str

    @classmethod
    def read(cls, version: str) -> "Release":
        return cls(
            json.loads((_DIRECTORY / f"{version}.json").read_text()),
            [json.loads(line) for line in _unpacked(f"{version}.topics.xz").splitlines()],
            _unpacked(f"{version}.sql.xz"),
        )

    @property
    def key(self) -> tuple[str, str]:
        """For the API, made by the release."""
        client_id, secret = self.told["key"]
        return client_id, secret

    def sent(self, but: re.Pattern[bytes]) -> list[Sent]:
        """The commands that it was given, but those under keys that match."""
        topic = self.told["settings"]["commands_topic"]
        return [
            Sent(record["partition"], record["offset"], _bytes(record["value"]) or b"")
            for record in self.records
            if record["topic"] == topic
            and but.fullmatch(_bytes(record["key"]) or b"") is None
            and not any(name == FORWARDED_HEADER for name, _ in record["headers"])
        ]

    @asynccontextmanager
    async def restored(self, stack: Stack, **changes: Any) -> AsyncIterator[HttpDeployment]:
        """Its database and topics, under the names that they had; nothing is started."""
        told = self.told["settings"]
        names = TopicNames(
            told["commands_topic"],
            told["events_topic"],
            told["dead_letters_topic"],
            told["group"],
        )
        async with fresh_database(stack.database_url) as database_url:
            settings = Settings(
                database_url=database_url,
                kafka_bootstrap=stack.kafka_bootstrap,
                secret_keys=self.told["secret_keys"],
                **told,
            ).model_copy(update=changes)
            async with connection_to(database_url) as connection:
                await connection.execute(self.dump)
            deployment = HttpDeployment(stack, settings)
            try:
                await create_topics(settings)
                await self._produce(settings)
                yield deployment
            finally:
                for process in deployment.processes.values():
                    await process.kill()
                await delete_topics(stack.kafka_bootstrap, names)

    async def _produce(self, settings: Settings) -> None:
        """Every record at the offset, with the time and the headers that it had."""
        bootstrap = settings.kafka_bootstrap
        async with AIOKafkaProducer(
            bootstrap_servers=bootstrap, enable_idempotence=True
        ) as producer:
            produced = [
                await producer.send(
                    record["topic"],
                    _bytes(record["value"]),
                    key=_bytes(record["key"]),
                    partition=record["partition"],
                    timestamp_ms=record["timestamp"],
                    headers=[(name, _bytes(value)) for name, value in record["headers"]],
                )
                for record in self.records
            ]
            offsets = [(await each).offset for each in produced]
        assert offsets == [record["offset"] for record in self.records]


def _unpacked(name: str) -> str:
    return lzma.decompress((_DIRECTORY / name).read_bytes()).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)

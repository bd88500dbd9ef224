"""`wallet migrate`: the database, and if asked the topics, brought up to this release."""

import asyncio
from typing import Annotated

import typer
from msgspec import Struct

from api.install import install
from cli.arguments import JsonOption
from cli.database import reaching_database
from cli.kafka import reaching_kafka
from cli.output import print_json, say
from engine.settings import Settings, load_settings
from engine.topics import create_topics

TopicsOption = Annotated[
    bool, typer.Option("--topics", help="Create the topics that are missing as well.")
]


class Migrated(Struct, frozen=True):
    """What was done, by name; nothing if all was there."""

    database: list[str]
    topics: list[str]


def migrate(topics: TopicsOption = False, json: JsonOption = False) -> None:
    """Bring the database up to this release; what has been done is not done again.

    Safe to run from many places at once, and while everything is running. With
    --topics it also creates those of the three topics that don't exist, with
    WALLET_PARTITIONS partitions and WALLET_REPLICATION_FACTOR copies each. The
    number of partitions can't be changed later.

    For example:
      wallet migrate
      WALLET_PARTITIONS=12 wallet migrate --topics
    """
    done = asyncio.run(_migrate(load_settings(), topics))
    if json:
        print_json(done)
        return
    for name in done.database:
        say(f"applied {name}")
    for name in done.topics:
        say(f"created topic {name}")
    if not (done.database or done.topics):
        say("Everything is up to date.")


async def _migrate(settings: Settings, topics: bool) -> Migrated:
    with reaching_database(settings):
        database = await install(settings.database_url)
    created: list[str] = []
    if topics:
        with reaching_kafka(settings):
            created = await create_topics(settings)
    return Migrated(database, created)

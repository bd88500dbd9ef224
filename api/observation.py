"""What can be watched of the API while it works. Nobody does, unless the settings ask for it."""

from collections.abc import Callable
from typing import Final

import asyncpg
from litestar.types import HTTPScope

from api.gateway import Gateway
from engine.settings import Settings
from projections.listening import Listener

OnAnswered = Callable[[int | None, float], None]
"""Hears the status of an answer (None: there was none), and the seconds that it took."""


def _unheard(status: int | None, seconds: float) -> None:
    """Nobody wants to know."""


class Observer:
    """Takes no notice of anything; whoever does overrides what it wants to see."""

    def request(self, scope: HTTPScope) -> OnAnswered:  # noqa: ARG002
        """A request has come; its scope tells the route once it has been found."""
        return _unheard

    def gateway(self, settings: Settings, listener: Listener) -> Gateway:
        """What commands are carried by."""
        return Gateway(settings, listener)

    def pool(self, name: str, pool: asyncpg.Pool) -> None:
        """Connections to the database that requests share."""


NOBODY: Final = Observer()

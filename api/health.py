"""Health: is the process up, and should it get requests?"""

import asyncio
from dataclasses import dataclass
from typing import Literal

from litestar import get
from litestar.di import NamedDependency
from msgspec import Struct

from api.deadlines import in_time
from api.draining import Draining
from api.errors import NotReadyError, UnavailableError
from api.failures import unavailable
from projections.errors import ProjectionError
from projections.queries import TRANSACTION_MODELS, WALLET_MODELS, ReadModels

_SERVED_MODELS = sorted({*WALLET_MODELS, *TRANSACTION_MODELS})


class Health(Struct, frozen=True):
    """`ok`: the process is up. `ready`: its answers are there and fresh enough."""

    status: Literal["ok", "ready"]


@dataclass(frozen=True)
class Readiness:
    """When the process is ready."""

    models: ReadModels
    deadline_ms: int
    lag_entries_max: int
    draining: Draining

    async def check(self) -> None:
        """Raise NotReadyError, with the reason, unless the process is ready."""
        if self.draining.begun:
            raise NotReadyError("The process is about to end: ask another one.")
        deadline = asyncio.get_running_loop().time() + self.deadline_ms / 1000
        try:
            lag = await in_time(self.models.lag(_SERVED_MODELS), deadline)
        except UnavailableError:
            raise NotReadyError(
                f"The database did not answer within {self.deadline_ms} ms."
            ) from None
        except ProjectionError as error:
            raise NotReadyError(str(unavailable(error))) from error
        if lag is not None and lag.entries > self.lag_entries_max:
            raise NotReadyError(
                f"The read model {lag.name!r} is {lag.entries} entries behind the log, more than"
                f" {self.lag_entries_max}: is `wallet projector` running?"
            )


@get("/healthz")
async def healthz() -> Health:
    """The process is up."""
    return Health("ok")


@get("/readyz")
async def readyz(readiness: NamedDependency[Readiness]) -> Health:
    """The process can answer, from read models that are not far behind."""
    await readiness.check()
    return Health("ready")

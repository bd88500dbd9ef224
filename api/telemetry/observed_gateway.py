"""The gateway, its commands timed and followed by traces."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from typing_extensions import override

from api.gateway import Gateway
from api.gateway.producing import Headers
from engine.receipts import Accepted, Receipt, Rejected
from engine.settings import Settings
from projections.listening import Listener
from schemas.commands import AnyCommand

if TYPE_CHECKING:
    from api.telemetry.metrics import ApiMetrics
    from api.telemetry.traces import RequestTraces


class ObservedGateway(Gateway):
    """Does what a Gateway does, and tells those of both that there are."""

    def __init__(
        self,
        settings: Settings,
        listener: Listener,
        metrics: "ApiMetrics | None",
        traces: "RequestTraces | None",
    ) -> None:
        super().__init__(settings, listener)
        self._metrics = metrics
        self._traces = traces

    @override
    async def carry(self, command: AnyCommand, deadline: float) -> Accepted | Rejected:
        if self._metrics is None:
            return await super().carry(command, deadline)
        with self._metrics.carrying() as carried:
            outcome = await super().carry(command, deadline)
            carried("accepted" if isinstance(outcome, Accepted) else "rejected")
        return outcome

    @override
    async def _send(
        self, command: AnyCommand, payload: bytes, headers: Headers | None = None
    ) -> Receipt:
        with ExitStack() as watches:
            if self._traces is not None:
                headers = watches.enter_context(self._traces.sending(command))
            return await super()._send(command, payload, headers)

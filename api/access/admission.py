"""Admission: whether a request is let in: whose it is, how often, from where, and to do what."""

from dataclasses import dataclass

from api.access.addresses import may_call
from api.access.authentication import Authenticator
from api.access.rate_limits import RateLimits
from api.access.scopes import Scope
from api.calls import Principal
from api.errors import AddressForbiddenError, RateLimitedError, ScopeMissingError
from api.requests import Request


@dataclass(frozen=True)
class Admission:
    """Lets requests in, or not, in this order."""

    authenticator: Authenticator
    rate_limits: RateLimits

    async def admit(self, scope: Scope, request: Request) -> Principal:
        """Who is calling, whom the access log names from then on.

        Raises UnauthorizedError, RateLimitedError, AddressForbiddenError or ScopeMissingError.
        """
        principal = await self.authenticator.authenticate(request.headers.get(b"authorization"))
        state = request.scope["state"]
        state["principal"] = principal
        if not self.rate_limits.admits(principal.client_id, principal.requests_per_second):
            raise RateLimitedError(principal.requests_per_second)
        address = state["client_address"]
        if not may_call(address, principal.allowed_networks):
            raise AddressForbiddenError(str(address or "an unknown address"))
        if scope not in principal.scopes:
            raise ScopeMissingError(scope)
        return principal

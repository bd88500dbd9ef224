"""Requests: what the server hands over of one, read as far as it is needed and no further."""

from litestar.types import HTTPScope, Receive


class Request:
    """One HTTP request.

    `headers` are by their names in lower case, of several with one name the first. `path_params`
    are what stands in the path in place of its parameters.
    """

    __slots__ = ("headers", "path_params", "receive", "scope")

    def __init__(self, scope: HTTPScope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.path_params: dict[str, str] = scope["path_params"]
        self.headers: dict[bytes, bytes] = dict(reversed(list(scope["headers"])))

    @property
    def id(self) -> str:
        request_id: str = self.scope["state"]["request_id"]
        return request_id

    def all_of(self, name: bytes) -> list[bytes]:
        """Every header of this name."""
        if name not in self.headers:
            return []
        return [value for each, value in self.scope["headers"] if each == name]

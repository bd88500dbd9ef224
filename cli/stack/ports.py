"""Which TCP ports the stack listens on: chosen free once, then kept in the data directory."""

import random
import socket
from collections.abc import Collection
from pathlib import Path

import msgspec

from cli.stack.errors import StartError

HOST = "127.0.0.1"

# Below the range that systems take outgoing connections from: a client that knocks in a loop
# at a stopped server could otherwise be given the server's own port, and keep it.
_LOWEST, _HIGHEST = 15_000, 32_000
_ATTEMPTS = 200


class Ports(msgspec.Struct, frozen=True):
    kafka: int
    kafka_controller: int
    postgres: int


def keep_ports(file: Path) -> Ports:
    """The ports on file; a port that is missing or taken by now is replaced by a free one."""
    known = _read(file)
    chosen: dict[str, int] = {}
    for name in Ports.__struct_fields__:
        port = known.get(name)
        usable = port is not None and port not in chosen.values() and is_free(port)
        chosen[name] = port if port is not None and usable else free_port(set(chosen.values()))
    file.write_bytes(msgspec.json.encode(chosen))
    return Ports(**chosen)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        # As servers do: connections of an earlier run that linger are no obstacle.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(taken: Collection[int] = ()) -> int:
    """A port that a server could listen on now, and that is not one of `taken`."""
    for _ in range(_ATTEMPTS):
        port = random.SystemRandom().randint(_LOWEST, _HIGHEST)
        if port not in taken and is_free(port):
            return port
    raise StartError(f"found no free port from {_LOWEST} to {_HIGHEST} on {HOST}")


def _read(file: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, int])
    except (FileNotFoundError, msgspec.DecodeError, msgspec.ValidationError):
        return {}

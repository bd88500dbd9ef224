"""Addresses: where a request comes from, also through proxies, and whether a key may be used there.

Only a proxy named in WALLET_TRUSTED_PROXIES is believed, and only what it says in
`X-Forwarded-For`; it has to append the address it was asked from, or replace what was there. The
`Forwarded` header is not read.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, Self

from engine.settings import InvalidSettingError, Settings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_FORWARDED_FOR: Final = b"x-forwarded-for"


class TrustedProxies:
    """Proxies whose word is taken for where a request comes from."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises InvalidSettingError for what is no address and no network."""
        found = []
        for text in filter(None, map(str.strip, settings.trusted_proxies.split(","))):
            try:
                found.append(read_network(text))
            except ValueError as error:
                raise InvalidSettingError(
                    f"WALLET_TRUSTED_PROXIES: {error}; separate networks by commas, as in"
                    " 10.0.0.0/8,2001:db8::/32"
                ) from None
        return cls(found)

    def client_address(
        self, peer: str | None, headers: Iterable[tuple[bytes, bytes]]
    ) -> Address | None:
        """Where the request comes from, of one whose connection is from `peer`.

        From the right of `X-Forwarded-For` the first that is no trusted proxy; if all are, the
        leftmost. None where that is no address, or the peer has none.
        """
        address = _read_address(peer or "")
        if address is None or not self._has(address):
            return address
        for text in reversed(_forwarded_for(headers)):
            address = _read_address(text)
            if address is None or not self._has(address):
                return address
        return address

    def include(self, peer: str) -> bool:
        """Whether a connection from `peer` is a trusted proxy's."""
        address = _read_address(peer)
        return address is not None and self._has(address)

    def _has(self, address: Address) -> bool:
        return bool(self._networks) and any(address in network for network in self._networks)


@lru_cache(maxsize=4_096)
def as_text(address: Address) -> str:
    """The address as people write it."""
    return str(address)


def read_network(text: str) -> Network:
    """The network in CIDR notation, or of one address; ValueError says what is wrong."""
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        last = network.network_address.ipv4_mapped
        return IPv4Network((str(last), network.prefixlen - _MAPPED.prefixlen))
    return network


def may_call(address: Address | None, allowed_networks: tuple[str, ...]) -> bool:
    """Whether a key with these networks may be used from there. Without any: from anywhere."""
    if not allowed_networks:
        return True
    return address is not None and any(
        address in network for network in _networks(allowed_networks)
    )


@lru_cache(maxsize=1_024)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(read_network, texts))


def _forwarded_for(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    # several headers of the name are one list
    lines = [value.decode("latin-1") for name, value in headers if name.lower() == _FORWARDED_FOR]
    return ",".join(lines).split(",") if lines else []


@lru_cache(maxsize=4_096)
def _read_address(text: str) -> Address | None:
    """An address, with or without a port, as proxies write it."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address

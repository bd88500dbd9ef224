from ipaddress import ip_address

import pytest

from api.access.addresses import TrustedProxies, may_call
from engine.settings import InvalidSettingError, Settings

PROXIES = " 10.0.0.0/8, 2001:db8::/32,192.0.2.1,"


def client(peer: str | None, *lines: str, proxies: str = PROXIES) -> str | None:
    trusted = TrustedProxies.of(Settings(trusted_proxies=proxies))
    headers = [(b"X-Forwarded-For", line.encode("latin-1")) for line in lines]
    found = trusted.client_address(peer, [(b"host", b"x"), *headers])
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("peer", "lines", "address"),
    [
        # whoever is not trusted is the client, whatever it says
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("203.0.113.9", [], "203.0.113.9"),
        ("192.0.2.2", ["198.51.100.1"], "192.0.2.2"),
        # from the right, the first that is not trusted
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["1.1.1.1, 198.51.100.1 ,10.9.9.9,192.0.2.1"], "198.51.100.1"),
        ("10.1.2.3", ["1.1.1.1", "198.51.100.1", "10.9.9.9"], "198.51.100.1"),
        ("2001:db8::1", ["2001:db9::1"], "2001:db9::1"),
        # nobody else there
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["10.0.0.7, 10.0.0.8"], "10.0.0.7"),
        # ports, brackets, quotes, and IPv4 within IPv6
        ("10.1.2.3", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.1.2.3", ["[2001:db9::1]:4711"], "2001:db9::1"),
        ("10.1.2.3", ['"[2001:db9::1]"'], "2001:db9::1"),
        ("::ffff:10.1.2.3", ["::ffff:198.51.100.1, ::ffff:10.0.0.1"], "198.51.100.1"),
        ("::ffff:203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        # what a trusted proxy says and is no address is nobody's
        ("10.1.2.3", ["unknown"], None),
        ("10.1.2.3", [""], None),
        ("10.1.2.3", ["198.51.100.1, "], None),
        ("10.1.2.3", ["198.51.100.1, \xff\x00, 10.0.0.1"], None),
        ("10.1.2.3", ["1" * 5_000], None),
        ("10.1.2.3", ["[" * 100], None),
        # but only where it counts
        ("10.1.2.3", ["unknown, 198.51.100.1"], "198.51.100.1"),
        (None, ["198.51.100.1"], None),
        ("", ["198.51.100.1"], None),
    ],
)
def test_the_client_is_the_first_that_no_trusted_proxy_is(peer, lines, address) -> None:
    assert client(peer, *lines) == address


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert client("127.0.0.1", "198.51.100.1", proxies="") == "127.0.0.1"


@pytest.mark.parametrize(
    "setting", ["10.0.0.1/8", "proxy.example", "10.0.0.0/33", "1.1.1.1 2.2.2.2"]
)
def test_a_setting_that_is_no_network_is_refused_in_one_line(setting) -> None:
    with pytest.raises(InvalidSettingError, match="WALLET_TRUSTED_PROXIES") as refused:
        TrustedProxies.of(Settings(trusted_proxies=f"10.0.0.0/8,{setting}"))
    assert setting in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "networks", "allowed"),
    [
        ("203.0.113.9", (), True),
        (None, (), True),
        ("203.0.113.9", ("203.0.113.0/24",), True),
        ("203.0.113.9", ("198.51.100.0/24", "203.0.113.9/32"), True),
        ("203.0.113.9", ("::ffff:203.0.113.0/120",), True),
        ("203.0.113.9", ("2001:db8::/32",), False),
        ("203.0.114.9", ("203.0.113.0/24",), False),
        ("2001:db8::1", ("2001:db8::/32",), True),
        ("2001:db9::1", ("2001:db8::/32", "0.0.0.0/0"), False),
        (None, ("0.0.0.0/0", "::/0"), False),
    ],
)
def test_a_key_is_used_from_its_networks_only(address, networks, allowed) -> None:
    assert may_call(address and ip_address(address), networks) is allowed

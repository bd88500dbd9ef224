"""The address that links to checkout pages and error codes begin with."""

import pytest

from engine.settings import InvalidSettingError, load_settings


@pytest.mark.parametrize(
    "url",
    ["https://pay.example.com", "http://127.0.0.1:8080/wallets/", "https://[2001:db8::1]", ""],
)
def test_a_link_can_begin_with_it(url: str) -> None:
    assert load_settings(public_url=url).public_url == url


@pytest.mark.parametrize(
    "url",
    [
        "pay.example.com",
        "ftp://pay.example.com",
        "https://",
        "https:///checkout",
        "https://pay.example.com/?from=mail",
        "https://pay.example.com/#top",
        "https://ama@pay.example.com",
        "https://pay.example.com/ ",
    ],
)
def test_no_link_can_begin_with_it(url: str) -> None:
    with pytest.raises(InvalidSettingError, match=r"WALLET_PUBLIC_URL: .*http"):
        load_settings(public_url=url)

"""Where a checkout may send a customer, and with what."""

import pytest

from api.topups.redirects import URL_CHARACTERS_MAX, is_redirect, with_topup


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example:8443/paid?order=7&x={id}#top",
        "HTTPS://Shop.Example/",
        "https://192.0.2.1/paid",
        "https://[2001:db8::1]:8443/paid",
        "https://a_b.xn--bcher-kva.example./",
        "http://localhost:3000/paid",
        "http://LOCALHOST/",
        "http://127.0.0.1/",
        "http://[::1]:3000/",
        "https://shop.example/" + "a" * (URL_CHARACTERS_MAX - 21),
    ],
)
def test_customers_can_be_sent_there(url) -> None:
    assert is_redirect(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "/paid",
        "//shop.example/paid",
        "https:",
        "https:///paid",
        "https:/shop.example",
        "https:shop.example",
        "http://shop.example/",
        "http://localhost.shop.example/",
        "http://127.0.0.1.shop.example/",
        "http://127.0.0.2/",
        "http://[::2]/",
        "ftp://shop.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://user@shop.example/",
        "https://user:password@shop.example/",
        "https://@shop.example/",
        "http://localhost@shop.example/",
        "http://localhost\\@shop.example/",
        "https://shop.example\\paid",
        "https://shop.example/a b",
        " https://shop.example/",
        "https://shop.example/\n",
        "https://shop.example/\r\nSet-Cookie: a=b",
        "https://shop.example/\0",
        "https://shop.example/\x7f",
        "https://bücher.example/",
        "https://shop.example/caf\u00e9",
        "https://shop.example:99999/",
        "https://shop.example:port/",
        "https://shop.example:/",
        "https://shop..example/",
        "https://shop.example;script-src/",
        "https://[::1/",
        "https://shop.example/" + "a" * (URL_CHARACTERS_MAX - 20),
    ],
)
def test_customers_can_not_be_sent_there(url) -> None:
    assert not is_redirect(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.example", "https://shop.example?topup_id=top_1"),
        ("https://shop.example/paid", "https://shop.example/paid?topup_id=top_1"),
        ("https://shop.example/?", "https://shop.example/?topup_id=top_1"),
        (
            "https://shop.example/?b=%20&a=1+2&b=#end",
            "https://shop.example/?b=%20&a=1+2&b=&topup_id=top_1#end",
        ),
        ("http://[::1]:3000/#/paid?x", "http://[::1]:3000/?topup_id=top_1#/paid?x"),
    ],
)
def test_the_id_comes_last_in_the_query_and_all_else_stays(url, expected) -> None:
    assert with_topup(url, "top_1") == expected

"""Whatever is sent, nothing is a fault of ours, and what we answer has the version's shape."""

import asyncio
import json
import logging

import httpx
import pytest

DEBIT = b"POST /v1/wallets/wal_a/debit"
BROKEN_OFF = "The body ended before it was complete."
TOO_LARGE = "The body must have at most 65536 bytes."
IN_TIME = "The body did not arrive in time. Send the request again."


def message_of(path: bytes, body: dict) -> str:
    """The sentence, from the one shape that belongs to the path."""
    if path.lstrip(b"/").startswith(b"v2"):
        assert set(body) == {"error"}
        assert set(body["error"]) == {"code", "message", "docs_url"}
        return body["error"]["message"]
    assert set(body) == {"success", "error"}
    return body["error"]


@pytest.mark.parametrize("path", [b"/v1/nowhere", b"/v2/nowhere", b"/v1", b"/v2", b"/", b"/v2/wallets/a%2fb",
                                  b"/V2/x", b"*", b"/%", b"/v2/%zz", b"/v1/\xc3\xa9", b"/v2/%00/%ff"])  # fmt: skip
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"POST", b"TRACE", b"BREW"])
async def test_an_unknown_path_is_404_whatever_the_method(api, method, path) -> None:
    answer = await api.ask(method + b" " + path)
    assert answer.status == 404
    assert answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"
    if method != b"HEAD":
        assert message_of(path, answer.json()).startswith("The requested path '")


@pytest.mark.parametrize("version", [b"/v1", b"/v2"])
@pytest.mark.parametrize("method", [b"HEAD", b"PUT", b"TRACE", b"BREW", b"get"])
async def test_an_unknown_method_is_405_and_told_what_there_is(api, method, version) -> None:
    path = version + b"/wallets"
    answer = await api.ask(method + b" " + path)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, OPTIONS, POST")
    if method != b"HEAD":
        assert message_of(path, answer.json()).startswith("The method ")


async def test_options_tells_the_methods(api) -> None:
    answer = await api.ask(b"OPTIONS /v2/wallets")
    assert (answer.status, answer.body) == (204, b"")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "OPTIONS", "POST"}


@pytest.mark.parametrize("auth", [True, False])
@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /v2/wallets", 200),
        (b"GET /v1/wallets/wal_a", 404),
        (b"GET /v1/wallets/x", 404),
        (b"POST /v2/wallets/wal_a/debit", 400),
        (b"POST /v1/wallets/wal_a/freeze", 404),
    ],
)
async def test_another_spelling_of_a_path_is_answered_alike(api, line, status, auth) -> None:
    # the framework finds these, and its short cut does not
    method, _, path = line.partition(b" ")
    for spelling in (path, b"/" + path, path + b"/", path.replace(b"/wallets", b"//wallets")):
        answer = await api.ask(
            method + b" " + spelling, b"Content-Length: 2", body=b"{}", auth=auth
        )
        assert answer.status == (status if auth else 401)
        del answer.headers["x-request-id"]
        answer.headers.pop("date", None)
        if spelling == path:
            plain = answer
        assert answer == plain


async def test_a_host_that_cannot_be_is_refused(api) -> None:
    request = b"GET /v1/wallets HTTP/1.1\r\nHost: a|b\r\n" + api.authorization() + b"\r\n\r\n"
    answer = await api.send(request)
    assert answer.status == 400


@pytest.mark.parametrize("version", [b"/v1", b"/v2"])
@pytest.mark.parametrize("wallet", [b"wal_%00", b"%00", b"%ff", b"%", b"%zz", b"\xc3\xa9", b"%0a", b"..", b"a" * 9_000])  # fmt: skip
async def test_an_id_that_is_none_is_404(api, wallet, version) -> None:
    path = version + b"/wallets/" + wallet
    answer = await api.ask(b"GET " + path)
    assert answer.status == 404
    assert message_of(path, answer.json()).endswith("was not found.")


_BIG = b"x" * 70_000


@pytest.mark.parametrize(
    "headers",
    [
        [b"X: " + _BIG],
        [b"X: " + b"a" * 2_000_000],
        [b"X%d: a" % number for number in range(1_000)],
        [b"Content-Length: x"],
        [b"Content-Length: -1"],
        [b"Content-Length: +5"],
        [b"Content-Length: 5", b"Content-Length: 6"],
        [b"Content-Length: 99999999999999999999999"],
        [b"Transfer-Encoding: x"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 5", b"X: x"],
        [b"X-Forwarded-For: \xff\xfe, %00, [::, 1.1.1.1.1"],
        [b"X-Forwarded-For: " + b"127.0.0.1," * 5_000],
        [b"Forwarded: for=\xff"],
        [b"Cookie: \xff"],
        [b"Content-Type: \xff"],
        [b"Content-Type: multipart/form-data"],
        [b"Content-Encoding: gzip"],
        [b"Accept: \xff"],
        [b"Idempotency-Key: \xff"],
        [b"Idempotency-Key: " + b"k" * 20_000],
        [b"X-Request-Id: \xff"],
        [b"Authorization: Basic \xff"],
        [b"Authorization: Basic " + b"QUFB" * 10_000],
        [b": x"],
        [b"no header"],
    ],
    ids=lambda headers: headers[0][:40].decode("latin-1"),
)
async def test_no_header_is_a_fault_of_ours(api, headers) -> None:
    answer = await api.ask(DEBIT, *headers, body=b"{}")
    assert answer is None or 400 <= answer.status < 500
    if answer is not None and answer.body:
        assert answer.json()["success"] is False


@pytest.mark.parametrize("bytes_", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET /v1/wallets HTTP/9.9\r\n\r\n",
                                    b"GET /v1/wallets\x00 HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n" * 50 + b"x",
                                    b"GET /v2/" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"])  # fmt: skip
async def test_what_is_no_http_gets_no_more_than_a_refusal(api, bytes_) -> None:
    answer = await api.send(bytes_, end=True)
    assert answer is None or 400 <= answer.status < 500


@pytest.mark.parametrize("length", [65_537, 10**9])
async def test_a_body_that_says_it_is_too_large_is_413_at_once(api, length) -> None:
    # nothing of it is sent
    answer = await api.ask(DEBIT, b"Content-Length: %d" % length)
    assert (answer.status, message_of(b"/v1", answer.json())) == (413, TOO_LARGE)


async def test_a_body_that_gets_too_large_is_413(api) -> None:
    chunks = b"".join(b"1000\r\n" + b" " * 0x1000 + b"\r\n" for _ in range(17))
    answer = await api.ask(DEBIT, b"Transfer-Encoding: chunked", body=chunks)
    assert (answer.status, message_of(b"/v1", answer.json())) == (413, TOO_LARGE)


@pytest.mark.parametrize("line", [b"GET /v1/wallets", b"DELETE /v1/customers/cus_a"])
@pytest.mark.parametrize(("length", "status"), [(65_537, 413), (10, 408)])
async def test_a_body_that_nobody_asked_for_is_refused_alike(api, line, length, status) -> None:
    answer = await api.ask(line, b"Content-Length: %d" % length)
    assert answer.status == status
    method, _, path = line.decode().partition(" ")
    documented = (await api.client.get("/v1/openapi.json")).json()["paths"]
    path = path.removeprefix("/v1").replace("cus_a", "{customer_id}")
    assert str(status) in documented[path][method.lower()]["responses"]


async def test_a_body_of_64_kibibytes_is_read(api) -> None:
    body = b'{"amount":0,"description":"","reference":"r"}'.ljust(65_536)
    for send in (body, _in_pieces(body)):
        answer = await api.client.post("/v1/wallets/wal_a/debit", content=send)
        assert (answer.status_code, answer.json()["error"]) == (
            400,
            "amount must be a positive integer.",
        )
    answer = await api.client.post("/v2/wallets/wal_a/debit", content=body + b" ")
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


async def _in_pieces(body: bytes):
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


async def test_a_body_that_never_comes_is_408_by_the_deadline(api) -> None:
    for headers in ([b"Content-Length: 50"], [b"Transfer-Encoding: chunked"]):
        answer = await api.ask(DEBIT, *headers)
        assert (answer.status, message_of(b"/v1", answer.json())) == (408, IN_TIME)


async def test_a_body_that_breaks_off_is_the_callers_fault(api, caplog) -> None:
    answer = await api.ask(DEBIT, b"Transfer-Encoding: chunked", body=b"zz\r\n")
    assert (answer.status, message_of(b"/v1", answer.json())) == (400, BROKEN_OFF)
    head = [
        DEBIT + b" HTTP/1.1",
        b"Host: x",
        api.authorization(),
        b"Content-Length: 50",
        b"",
        b"{",
    ]
    await api.send(b"\r\n".join(head), end=True)
    await asyncio.sleep(0)
    assert not [
        each
        for each in caplog.records
        if each.levelno >= logging.ERROR and each.name.startswith("api")
    ]


@pytest.mark.parametrize("body", [b"[]", b"{", b"", b'{"amount":1,"amount":2}', b"\xff", b'{"a":NaN}', b'{"a":' * 9_000])  # fmt: skip
async def test_what_is_no_json_object_is_400_in_the_shape_of_the_version(api, body) -> None:
    for version in (b"/v1", b"/v2"):
        answer = await api.client.post(f"{version.decode()}/wallets/wal_a/debit", content=body)
        assert answer.status_code == 400
        assert message_of(version, answer.json())
        again = await api.client.post(f"{version.decode()}/wallets/wal_a/freeze", content=body)
        # nothing is needed there, but what is sent has to be an object
        assert again.status_code == (404 if body == b"" else 400)


async def test_unknown_fields_are_refused_in_version_2_only(api) -> None:
    body = {"amount": 1, "description": "x", "reference": "r", "colour": 1, "metadata": {"ok": 1}}
    answers: list[httpx.Response] = [
        await api.client.post(f"/{version}/wallets/wal_a/debit", json=body)
        for version in ("v1", "v2")
    ]
    assert [answer.status_code for answer in answers] == [404, 400]
    assert json.loads(answers[1].text)["error"]["message"] == (
        "colour is not a field of this request."
    )

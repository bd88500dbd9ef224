import json
import logging
import re
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
import pytest_asyncio

from api.install import install
from cli.stack import Stack
from projections.queries import ReadModels
from tests.support.databases import fresh_database
from tests.support.history import HistoryBuilder
from tests.support.query_api import StandingClock, record, running_api

LIMIT = "limit must be an integer from 1 to 100."
AFTER = "after must be the id of the last item of the page before."
WAIT_FOR = "wait_for must be <partition>:<offset> of a command."
TYPE = "type must be topup, debit, credit, expiry or write_off."
STATUS = "status must be active, frozen or closed."
CURRENCY = "currency must be an ISO 4217 currency code."
CUSTOMER = "customer_id must be the id of a customer."
REFERENCE = "reference must be 1 to 255 characters."

WALLETS = "/v1/wallets"
TRANSACTIONS = "/v1/wallets/wal_a/transactions"


def failed(answer: httpx.Response, status: int, message: str) -> None:
    """The answer is a failure of the documented shape, and nothing else."""
    assert (answer.status_code, answer.json()) == (status, {"success": False, "error": message})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]


@pytest_asyncio.fixture(scope="module")
async def filled(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API on a database that no test here changes."""
    history = HistoryBuilder().create("wal_a").create("wal_b")
    history.topup("wal_a", 5, reference="a").topup("wal_b", 5).debit("wal_a", 900)
    async with fresh_database(stack.database_url) as url:
        await install(url)
        connection = await asyncpg.connect(url)
        await record(connection, history)
        await connection.close()
        async with running_api(url, StandingClock()) as client:
            yield client


@pytest.mark.parametrize("path", [WALLETS, TRANSACTIONS])
@pytest.mark.parametrize(
    "limit",
    [
        "0",
        "101",
        "-1",
        "",
        "x",
        "5.0",
        "1e1",
        "+5",
        "05",
        " 5",
        "%D9%A5",
        "9" * 400,
        "null",
        "NaN",
    ],
)
async def test_a_limit_is_an_integer_from_1_to_100(filled, path, limit) -> None:
    failed(await filled.get(f"{path}?limit={limit}"), 400, LIMIT)


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        (WALLETS, "status=open", STATUS),
        (WALLETS, "status=ACTIVE", STATUS),
        (WALLETS, "status=", STATUS),
        (WALLETS, "status=null", STATUS),
        (WALLETS, "currency=XXY", CURRENCY),
        (WALLETS, "currency=XAU", CURRENCY),
        (WALLETS, "currency=ghs", CURRENCY),
        (WALLETS, "currency=GHS%0A", CURRENCY),
        (WALLETS, "currency=", CURRENCY),
        (WALLETS, "customer_id=42", CUSTOMER),
        (WALLETS, "customer_id=wal_a", CUSTOMER),
        (WALLETS, "customer_id=cus_%00", CUSTOMER),
        (WALLETS, "customer_id=", CUSTOMER),
        (WALLETS, "after=wal_unknown", AFTER),
        (WALLETS, "after=cus_1", AFTER),
        (WALLETS, "after=%00", AFTER),
        (WALLETS, "after=", AFTER),
        (WALLETS, "limit=5&limit=6", "limit must be given once."),
        (TRANSACTIONS, "type=refund", TYPE),
        (TRANSACTIONS, "type=debited", TYPE),
        (TRANSACTIONS, "type=", TYPE),
        (TRANSACTIONS, "type=null", TYPE),
        (TRANSACTIONS, "type=debit&type=debit", "type must be given once."),
        (TRANSACTIONS, "reference=", REFERENCE),
        (TRANSACTIONS, "reference=a%00b", REFERENCE),
        (TRANSACTIONS, "reference=" + "a" * 256, REFERENCE),
        (TRANSACTIONS, "after=wal_a", AFTER),
        (TRANSACTIONS, "after=txn_a1b2c3", AFTER),
        (TRANSACTIONS, "after=txn_" + "0" * 36, AFTER),
        (TRANSACTIONS, "after=txn_ffff" + "f" * 32, AFTER),
        (TRANSACTIONS, "after=txn_" + "g" * 36, AFTER),
        (TRANSACTIONS, "after=txn_%00", AFTER),
        (TRANSACTIONS, "after=", AFTER),
        *((path, f"wait_for={value}", WAIT_FOR)
          for path in (WALLETS, TRANSACTIONS, "/v1/wallets/wal_a")
          for value in ("", "1", "1:", ":1", "a:b", "1:-1", "-1:1", "1:1:1", "01:1", "1:1.0",
                        "1%3A1%0A", "99999:1", "1:9223372036854775808", "1:" + "9" * 30)),
    ],
)  # fmt: skip
async def test_a_bad_parameter_is_refused_by_its_name(filled, path, query, message) -> None:
    failed(await filled.get(f"{path}?{query}"), 400, message)


async def test_a_cursor_has_to_be_a_transaction_of_this_wallet(filled) -> None:
    other = (await filled.get("/v1/wallets/wal_b/transactions")).json()["data"][0]["id"]
    failed(await filled.get(f"{TRANSACTIONS}?after={other}"), 400, AFTER)


async def test_version_1_passes_over_unknown_parameters(filled) -> None:
    plain = (await filled.get(TRANSACTIONS)).json()
    for query in ("page=2&x=1&x=2&%FF=%FF&&=", "cursor=nonsense", "cursor=1&cursor=2"):
        assert (await filled.get(f"{TRANSACTIONS}?{query}")).json() == plain


@pytest.mark.parametrize(
    ("path", "query", "name", "takes"),
    [
        ("/wallets", "page=2", "page", "limit, cursor, wait_for, customer_id, currency, status"),
        ("/wallets", "status=open&x=", "x", "limit, cursor, wait_for, customer_id, currency, status"),
        ("/wallets/wal_a/transactions", "after=txn_1", "after", "limit, cursor, wait_for, type, reference"),
        ("/wallets/wal_a", "limit=5", "limit", "wait_for"),
        ("/wallets/wal_a", "a" * 99 + "=", "a" * 60, "wait_for"),
        ("/wallets/wal_a", "=", "", "wait_for"),
    ],
)  # fmt: skip
async def test_version_2_refuses_unknown_parameters(filled, path, query, name, takes) -> None:
    answer = await filled.get(f"/v2{path}?{query}")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["message"] == f"'{name}' is no parameter of this request: it takes {takes}."
    assert error["code"] == "parameter_unknown"


@pytest.mark.parametrize("path", ["/wallets", "/wallets/wal_a", "/wallets/wal_a/transactions"])
async def test_both_versions_take_wait_for(filled, path) -> None:
    for version in ("v1", "v2"):
        shown = await filled.get(f"/{version}{path}?wait_for=0:1")
        assert shown.json() == (await filled.get(f"/{version}{path}")).json()
        refused = await filled.get(f"/{version}{path}?wait_for=x")
        assert refused.status_code == 400
        assert WAIT_FOR in refused.text


@pytest.mark.parametrize(
    "wallet_id", ["wal_x", "wal_", "x", "cus_1", "wal_" + "a" * 41, "wal_é", "WAL_A", "wal_a."]
)
async def test_a_wallet_that_is_not_there_is_named(filled, wallet_id) -> None:
    message = f"The requested wallet resource '{wallet_id}' was not found."
    failed(await filled.get(f"/v1/wallets/{wallet_id}"), 404, message)
    failed(await filled.get(f"/v1/wallets/{wallet_id}/transactions"), 404, message)


async def test_bytes_that_are_no_text_are_no_wallet(filled) -> None:
    for path in ("%00", "wal_%FF", "wal_a%00", "wal_a%0A"):
        answer = await filled.get(f"/v1/wallets/{path}")
        assert answer.status_code == 404
        assert answer.json()["error"].startswith("The requested wallet resource '")


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/wallet", "/v1/wallets/wal_a/x", "/v1/%FF/%00", "/schema"],
)
async def test_an_unknown_path_is_not_found(filled, path) -> None:
    failed(await filled.get(path), 404, f"The requested path '{path}' was not found.")


async def test_an_unknown_path_of_version_2_has_its_error(filled) -> None:
    answer = await filled.get("/v2/nowhere")
    code = answer.json()["error"].pop("code")
    assert code == "path_missing"
    assert answer.json()["error"] == {
        "code": code,
        "message": "The requested path '/v2/nowhere' was not found.",
        "docs_url": f"{filled.base_url}/docs/errors#{code}",
    }
    assert answer.status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW"])
async def test_an_unknown_method_is_refused(filled, method) -> None:
    for path in ("/v1/wallets/wal_a", TRANSACTIONS, "/healthz"):
        answer = await filled.request(method, path)
        failed(
            answer,
            405,
            f"The method {method} is not allowed here. Allowed are: GET, OPTIONS.",
        )
        assert answer.headers["allow"] == "GET, OPTIONS"


async def test_a_fault_of_ours_shows_nothing_of_itself(filled, monkeypatch, caplog) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the secret inside")

    monkeypatch.setattr(ReadModels, "wallet", fail)
    answer = await filled.get("/v1/wallets/wal_a")
    failed(answer, 500, "Something went wrong on our side. Try again in a few minutes.")
    (message,) = (each for each in caplog.records if each.levelno == logging.ERROR)
    assert answer.headers["x-request-id"] in message.getMessage()
    assert message.exc_info[0] is ZeroDivisionError


async def test_a_refusal_of_the_database_is_503_and_logged(client, connection, caplog) -> None:
    await connection.execute("ALTER VIEW lots RENAME COLUMN remaining TO left_over")
    answer = await client.get("/v1/wallets/wal_a")
    message = "The database can't be reached at the moment. Try again in a while."
    failed(answer, 503, message)
    assert answer.headers["retry-after"] == "5"
    assert "UndefinedColumnError" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text


async def test_a_statement_that_takes_too_long_is_ended(database_url, connection) -> None:
    await record(connection, HistoryBuilder().create("wal_a"))
    async with running_api(database_url, api_deadline_ms=1_500) as client:
        assert (await client.get("/v1/wallets/wal_a")).status_code == 200
        async with connection.transaction():
            await connection.execute("LOCK TABLE shards IN ACCESS EXCLUSIVE MODE")
            answer = await client.get("/v1/wallets/wal_a")
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert answer.json()["success"] is False
            assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/v1/wallets/wal_a")).status_code == 200


async def test_a_database_that_was_not_migrated_says_what_to_do(database_url) -> None:
    async with running_api(database_url) as client:
        message = "The database has no read models yet; run `wallet migrate`."
        for path in (WALLETS, "/v1/wallets/wal_a", f"{TRANSACTIONS}?wait_for=0:1", "/readyz"):
            answer = await client.get(path)
            failed(answer, 503, message)
            assert answer.headers["retry-after"] == "5"


async def test_every_answer_has_a_request_id_that_its_log_line_has(filled, caplog) -> None:
    caplog.set_level(logging.INFO, "api.access_log")
    paths = [
        WALLETS,
        "/v1/wallets/wal_x?after=1",
        "/nowhere%20x",
        f"{WALLETS}?limit=0",
        "/healthz",
    ]
    answers = [await filled.get(path) for path in paths]
    lines = [json.loads(each.message) for each in caplog.records if each.name == "api.access_log"]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(paths)
    assert all(re.fullmatch(r"req_[0-9a-f]{24}", each) for each in ids)
    assert [line["request_id"] for line in lines] == ids
    assert [line["status"] for line in lines] == [200, 404, 404, 400, 200]
    assert [line["path"] for line in lines] == [path.partition("?")[0] for path in paths]
    assert set(lines[0]) == {
        "time", "request_id", "client", "client_id", "merchant_id", "environment", "method",
        "path", "status", "duration_ms",
    }  # fmt: skip
    assert lines[0]["method"] == "GET"
    assert lines[0]["client"] == "127.0.0.1"
    assert all("\n" not in each.message for each in caplog.records)


async def test_a_long_path_does_not_fill_the_log(filled, caplog) -> None:
    caplog.set_level(logging.INFO, "api.access_log")
    answer = await filled.get("/v1/wallets/wal_" + "a" * 20_000)
    assert answer.status_code == 404
    (line,) = (
        json.loads(each.message) for each in caplog.records if each.name == "api.access_log"
    )
    assert len(line["path"]) == 1_000


@pytest.mark.parametrize(
    ("given", "taken"),
    [("abc-123_X.y", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ('"}', False)],
)
async def test_a_caller_may_choose_the_request_id(filled, given, taken) -> None:
    answer = await filled.get(WALLETS, headers={"X-Request-Id": given})
    assert (answer.headers["x-request-id"] == given) is taken


async def test_credentials_never_reach_the_log(filled, caplog, monkeypatch) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": "Basic c2VjcmV0OnNlY3JldA=="}
    assert (await filled.get(WALLETS, headers=headers)).status_code == 200
    assert (await filled.get("/nowhere", headers=headers)).status_code == 404

    async def fail(*_: object, **__: object) -> None:
        raise asyncpg.InterfaceError("gone")

    monkeypatch.setattr(ReadModels, "wallet", fail)
    assert (await filled.get("/v1/wallets/wal_a", headers=headers)).status_code == 500
    assert "c2VjcmV0" not in caplog.text
    assert "authorization" not in caplog.text.lower()

"""Walks through the HTTP API: a customer, a wallet, money in and out of it, and its end.

    wallet dev                # in one terminal; it prints the credentials
    export CLIENT_ID=... CLIENT_SECRET=...
    python examples/walk_through.py

Needs nothing but Python. Each request is shown as a curl line that can be pasted, and then its
answer. The exit status is 1, with a line that says why, if anything is not as it should be.
"""

import argparse
import json
import os
import secrets
import shlex
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.message import Message
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import urljoin

TIMEOUT_S = 30
PAID_URL = "https://shop.example/paid"
CANCELLED_URL = "https://shop.example/cancelled"

Json = dict[str, Any]


class UnexpectedError(Exception):
    """Something is not as it should be."""


class Answer(NamedTuple):
    status: int
    headers: Message
    text: str


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves it to the caller where to go on."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


# a proxy that the environment names is not for this machine
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirects)


def exchange(
    method: str, url: str, headers: Mapping[str, str] | None = None, data: bytes | None = None
) -> Answer:
    """The answer to one request, whatever its status."""
    request = urllib.request.Request(url, data, dict(headers or {}), method=method)  # noqa: S310
    try:
        with _opener.open(request, timeout=TIMEOUT_S) as response:
            return Answer(response.status, response.headers, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read().decode())
    except (OSError, ValueError) as error:
        raise UnexpectedError(
            f"no answer from {url} ({error}); is `wallet dev` running?"
        ) from None


class Api:
    """The API for one key; shows what is asked and answered."""

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self._url = url.rstrip("/")
        token = b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}"}

    def get(self, path: str) -> Json:
        return self._call("GET", path, None, 200)

    def post(self, path: str, body: Json | None = None, *, status: int = 200) -> Json:
        return self._call("POST", path, body, status)

    def _call(self, method: str, path: str, body: Json | None, status: int) -> Json:
        url, text = f"{self._url}{path}", None if body is None else json.dumps(body)
        show_curl(method, url, text)
        data = None if text is None else text.encode()
        json_type = {} if data is None else {"Content-Type": "application/json"}
        answer = exchange(method, url, self._headers | json_type, data)
        print(f"{answer.status} {answer.text}\n")
        if answer.status != status:
            raise UnexpectedError(f"{method} {path} answered {answer.status}, not {status}")
        document: Json = json.loads(answer.text)
        return document


def show_curl(method: str, url: str, text: str | None) -> None:
    """A line for a shell that knows CLIENT_ID and CLIENT_SECRET."""
    parts = ["$ curl", "-X", method, shlex.quote(url), '-u "$CLIENT_ID:$CLIENT_SECRET"']
    if text is not None:
        parts += ["-H 'Content-Type: application/json'", "-d", shlex.quote(text)]
    print(" ".join(parts))


class PayForm(HTMLParser):
    """Finds the form with the Pay button; `action` is where a browser sends it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self._form = ""
        self._in_button = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "form":
            self._form = dict(attrs).get("action") or ""
        self._in_button = tag == "button"

    def handle_endtag(self, tag: str) -> None:
        self._in_button = self._in_button and tag != "button"

    def handle_data(self, data: str) -> None:
        if self._in_button and data.strip().startswith("Pay"):
            self.action = self._form


def pay(checkout_url: str) -> str:
    """Do as a customer in a browser: open the page and press Pay; where that leads to."""
    print(f"(the customer opens {checkout_url} and presses Pay)")
    page = exchange("GET", checkout_url)
    action = PayForm(page.text).action
    if page.status != 200 or action is None:
        raise UnexpectedError(f"the checkout page, status {page.status}, has no Pay button")
    target = urljoin(checkout_url, action)
    answer = exchange("POST", target, {"Content-Type": "application/x-www-form-urlencoded"}, b"")
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        location = urljoin(target, answer.headers.get("Location") or "")
        if location.startswith(PAID_URL):
            print(f"(and is sent on to {location})\n")
            return location
        if time.monotonic() > deadline:
            raise UnexpectedError(f"after Pay, {target} answered {answer.status}: {answer.text}")
        # the page says that it is being processed, and looks again by itself
        time.sleep(1)
        answer = exchange("GET", checkout_url)


def step(title: str) -> None:
    print(f"# {title}")


def expect(what: str, found: object, wanted: object) -> None:
    """Raise UnexpectedError unless they are equal."""
    if found != wanted:
        raise UnexpectedError(f"{what} is {found!r}, not {wanted!r}")


def walk(api: Api) -> None:
    """Every step, each held against what it has to answer."""
    run = secrets.token_hex(4)
    wallet = open_wallet(api, run)
    top_up(api, wallet)
    debit_twice(api, wallet, run)

    step("A credit of GHS 25.00 that expires in 30 days")
    credit = {
        "amount": 2_500,
        "description": "Welcome credit",
        "reference": f"welcome_{run}",
        "expires_at": (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    credited = api.post(f"{wallet}/credit", credit)
    expect("balance_after", credited["balance_after"], 12_000)
    expect("expires_at", credited["expires_at"], credit["expires_at"])

    freeze_and_unfreeze(api, wallet, run)
    look_back_and_close(api, wallet)


def open_wallet(api: Api, run: str) -> str:
    """A customer and a wallet; gives the wallet's path."""
    step("A customer")
    body = {"email": f"ama.{run}@example.com", "name": "Ama Owusu"}
    customer = api.post("/v1/customers", body, status=201)
    expect("email", customer["email"], body["email"])

    step("A wallet for her")
    opening = {"customer_id": customer["id"], "currency": "GHS"}
    wallet = api.post("/v1/wallets", opening, status=201)
    expect("balance", wallet["balance"], 0)
    return f"/v1/wallets/{wallet['id']}"


def top_up(api: Api, wallet: str) -> None:
    step("A top-up of GHS 100.00, which she pays on the checkout page")
    checkout = {"amount": 10_000, "redirect_url": PAID_URL, "cancel_url": CANCELLED_URL}
    topup = api.post(f"{wallet}/topups", checkout, status=201)
    expect("status", topup["status"], "pending")
    expect("the top-up's id in the redirect", topup["id"] in pay(topup["checkout_url"]), True)

    step("It has succeeded, and the money is there")
    (listed,) = api.get(f"{wallet}/topups")["data"]
    expect("status", listed["status"], "succeeded")
    expect("balance", api.get(wallet)["balance"], 10_000)


def debit_twice(api: Api, wallet: str, run: str) -> None:
    step("A debit of GHS 5.00")
    debit = {
        "amount": 500,
        "description": "10 SMS messages sent",
        "reference": f"sms_batch_{run}",
    }
    first = api.post(f"{wallet}/debit", debit)
    expect("balance_after", first["balance_after"], 9_500)

    step("The same debit again, as after a lost answer: the same answer, and nothing moved")
    expect("the second answer", api.post(f"{wallet}/debit", debit), first)
    expect("balance", api.get(wallet)["balance"], 9_500)


def freeze_and_unfreeze(api: Api, wallet: str, run: str) -> None:
    step("Frozen, the wallet refuses debits")
    expect("status", api.post(f"{wallet}/freeze")["status"], "frozen")
    refused = {"amount": 100, "description": "1 SMS message", "reference": f"frozen_{run}"}
    answer = api.post(f"{wallet}/debit", refused, status=409)
    expect("success", answer["success"], False)

    step("Unfrozen, it is active again")
    expect("status", api.post(f"{wallet}/unfreeze")["status"], "active")


def look_back_and_close(api: Api, wallet: str) -> None:
    step("What has moved, newest first")
    moved = api.get(f"{wallet}/transactions")["data"]
    kinds = [(each["type"], each["amount"]) for each in moved]
    expect("transactions", kinds, [("credit", 2_500), ("debit", 500), ("topup", 10_000)])

    step("Closed for ever; what was left is written off")
    closed = api.post(f"{wallet}/close")
    expect("status", closed["status"], "closed")
    expect("balance", closed["balance"], 0)


def main() -> int:
    """Walk, and give the exit status."""
    parser = argparse.ArgumentParser(
        description="Walk through the HTTP API of a sandbox merchant.",
        epilog="The credentials are what `wallet dev` prints at its first start.",
    )
    environment = os.environ
    parser.add_argument(
        "--url",
        default=environment.get("WALLET_API_URL", "http://127.0.0.1:8080"),
        help="where the API listens (or WALLET_API_URL; http://127.0.0.1:8080)",
    )
    parser.add_argument("--client-id", default=environment.get("CLIENT_ID"), help="or CLIENT_ID")
    parser.add_argument(
        "--client-secret", default=environment.get("CLIENT_SECRET"), help="or CLIENT_SECRET"
    )
    given = parser.parse_args()
    if not (given.client_id and given.client_secret):
        parser.error("CLIENT_ID and CLIENT_SECRET are needed: `wallet dev` prints them")
    try:
        walk(Api(given.url, given.client_id, given.client_secret))
    except UnexpectedError as error:
        print(f"walk_through: {error}", file=sys.stderr)
        return 1
    print("# All as it should be.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

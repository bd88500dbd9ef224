"""Every operation, in every version: what is another owner's is as what never was."""

from typing import Any

import httpx
import pytest

from api.access.scopes import SCOPES
from api.app import versions
from api.calls import Operation
from api.operations import OPERATIONS
from api.secret_keys import SecretKeys
from api.versions import Version
from tests.support.owned_things import LISTED, Slot, Things, ask, make_things, never_was, slots
from tests.support.query_api import SECRET_KEYS
from tests.support.wallet_service import SANDBOX, WalletService

VERSIONS = versions("http://localhost", SecretKeys((SECRET_KEYS,)))
STRANGERS = ("other_merchant", "other_environment")
CASES = [(version, operation) for version in VERSIONS.values() for operation in OPERATIONS]
LISTS = [(version, operation) for version, operation in CASES if operation.listed]


def _cases(pairs: list[tuple[Version, Operation]]) -> pytest.MarkDecorator:
    names = [f"{version.name}.{operation.name}" for version, operation in pairs]
    return pytest.mark.parametrize(("version", "operation"), pairs, ids=names)


def _needed(things: Things, version: Version, operation: Operation) -> dict[Slot, str]:
    """What the operation's path and body need, out of these things."""
    found = slots(operation, version)
    return {slot: things.value(slot) for slot in found if slot.where != "query"}


def _told(answer: httpx.Response, *names: str) -> tuple[int, str, dict[str, str]]:
    """An answer without the names that it was given, and what is of the moment."""
    text = answer.text
    for name in names:
        text = text.replace(name, "…")
    moment = {"x-request-id", "date", "content-length"}
    headers = {name: each for name, each in answer.headers.items() if name not in moment}
    return answer.status_code, text, headers


async def _strangers(owners: dict[str, httpx.AsyncClient], name: str) -> Things:
    # no payment provider is there for the live environment
    return await make_things(owners[name], payable=name != "other_environment")


@pytest.mark.parametrize("stranger", STRANGERS)
@_cases(CASES)
async def test_what_others_have_is_as_what_never_was(
    owners, version: Version, operation: Operation, stranger: str
) -> None:
    theirs = await make_things(owners["owner"])
    before = await _state(theirs)
    # the stranger's own are right in every other place, so nothing else can be refused
    own = await _strangers(owners, stranger)
    needed = _needed(own, version, operation)
    for slot in slots(operation, version):
        never = never_was(slot)
        seen = await ask(own.client, version, operation, needed | {slot: theirs.value(slot)})
        unseen = await ask(own.client, version, operation, needed | {slot: never})
        assert _told(seen, theirs.value(slot)) == _told(unseen, never), slot
        assert not any(trace in seen.text for trace in theirs.traces - {theirs.value(slot)}), slot
        if slot.where != "query":
            assert seen.status_code == 404, slot
            assert f"resource '{theirs.value(slot)}' was not found." in seen.text
    assert await _state(theirs) == before
    answer = await ask(own.client, version, operation, needed)
    assert (answer.is_success, answer.status_code) in ((True, operation.status), (False, 409))


async def _state(things: Things) -> list[Any]:
    wallet = f"/v1/wallets/{things.ids['wallet']}"
    paths = (f"/v1/customers/{things.ids['customer']}", wallet, f"{wallet}/transactions")
    answers = [await things.client.get(path) for path in (*paths, f"{wallet}/topups")]
    assert all(answer.status_code == 200 for answer in answers), answers
    return [answer.json() for answer in answers]


@pytest.mark.parametrize("stranger", STRANGERS)
@_cases(LISTS)
async def test_a_list_shows_nothing_of_theirs(
    owners, version: Version, operation: Operation, stranger: str
) -> None:
    theirs = await make_things(owners["owner"])
    own = await _strangers(owners, stranger)
    needed = _needed(own, version, operation)
    answer = await ask(own.client, version, operation, needed)
    assert answer.status_code == 200, answer.text
    listed = own.ids.get(LISTED[operation.answer])
    assert listed is None or listed in answer.text
    assert not any(trace in answer.text for trace in theirs.traces)


@pytest.mark.parametrize("stranger", STRANGERS)
@_cases([pair for pair in LISTS if pair[0].name == "v2"])
async def test_a_cursor_of_theirs_is_as_none_at_all(
    owners, version: Version, operation: Operation, stranger: str
) -> None:
    await make_things(owners["owner"])
    theirs = await make_things(owners["owner"])
    own = await _strangers(owners, stranger)
    limit = Slot("query", "limit", "")
    page = await ask(
        theirs.client, version, operation, _needed(theirs, version, operation) | {limit: "1"}
    )
    cursor = page.json()["next_cursor"] or page.json()["prev_cursor"]
    slot = Slot("query", "cursor", "")
    needed = _needed(own, version, operation)
    given, made_up = [
        await ask(own.client, version, operation, needed | {slot: text})
        for text in (cursor or "none", "made-up")
    ]
    assert given.status_code == 400
    assert _told(given) == _told(made_up)


@_cases([pair for pair in CASES if pair[1].method == "POST"])
async def test_an_idempotency_key_of_theirs_brings_no_answer_of_theirs(
    owners, version: Version, operation: Operation
) -> None:
    theirs = await make_things(owners["owner"])
    key = f"{version.name} {operation.name}"
    needed = _needed(theirs, version, operation)
    first = await ask(theirs.client, version, operation, needed, key)
    assert first.status_code in (operation.status, 409), first.text
    for stranger in STRANGERS:
        answer = await ask(owners[stranger], version, operation, needed, key)
        # a new thing of the stranger's own, where nothing of theirs was named
        assert answer.status_code == (404 if needed else operation.status), answer.text
        if answer.is_success:
            assert answer.json()["id"] != first.json()["id"]


@_cases(CASES)
async def test_every_other_scope_is_not_enough(
    service: WalletService, owners, version: Version, operation: Operation
) -> None:
    things = await make_things(owners["owner"])
    needed = _needed(things, version, operation)
    others = [scope for scope in SCOPES if scope != operation.scope]
    async with service.calling_as(SANDBOX, scopes=others) as client:
        answer = await ask(client, version, operation, needed)
        assert answer.status_code == 403, answer.text
        assert _sentence(answer) == (
            f"Forbidden. This API key lacks the '{operation.scope}' scope required to perform"
            " this action."
        )
        unseen = {slot: never_was(slot) for slot in needed}
        assert _told(await ask(client, version, operation, unseen)) == _told(answer)
    async with service.calling_as(SANDBOX, scopes=[operation.scope]) as client:
        assert (await ask(client, version, operation, needed)).status_code in (
            operation.status,
            409,
        )


@_cases(CASES)
async def test_nobody_is_let_in_without_a_key(
    owners, version: Version, operation: Operation
) -> None:
    things = await make_things(owners["owner"])
    needed = _needed(things, version, operation)
    async with httpx.AsyncClient(base_url=things.client.base_url) as client:
        answer = await ask(client, version, operation, needed)
        unseen = await ask(client, version, operation, {s: never_was(s) for s in needed})
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert _sentence(answer, "message") == (
        "Invalid Token Format. Expected base64(clientId:clientSecret)."
    )
    assert _told(answer) == _told(unseen)


def _sentence(answer: httpx.Response, v1_name: str = "error") -> str:
    body = answer.json()
    sentence: str = (
        body["error"]["message"] if isinstance(body.get("error"), dict) else body[v1_name]
    )
    return sentence

"""`wallet merchants` and `wallet keys`."""

import re
from datetime import timedelta

import asyncpg
import pytest
from pydantic import SecretStr

from api.access.keys import PURPOSE
from api.access.scopes import SCOPES
from api.secret_keys import SecretKeys
from schemas.instants import Instant
from tests.support.authentication import NEW, ApiProcess
from tests.support.query_api import SECRET_KEYS
from tests.support.wallet_command import finish, run, start

SECRET = re.compile(r"\b[0-9a-f]{64}\b")


@pytest.fixture
async def api_process(migrated):
    async with asyncpg.create_pool(migrated.database_url, min_size=0, max_size=2) as rows:
        yield ApiProcess(rows, SECRET_KEYS)


@pytest.fixture
async def merchant(migrated):
    done = await run(migrated, "merchants", "create", "Ama's Messages", "--json")
    assert done.status == 0, done.err
    return done.document["merchant_id"]


async def create(settings, merchant, *options, environment="sandbox"):
    arguments = ("--environment", environment, "--label", "my laptop", *options)
    return await run(settings, "keys", "create", merchant, *arguments)


async def test_merchants_are_created_and_listed(migrated):
    none = await run(migrated, "merchants", "list")
    assert "wallet merchants create" in none.out
    first = await run(migrated, "merchants", "create", "Ama's Messages", "--json")
    second = await run(migrated, "merchants", "create", "Tanaka Maps", "--currency", "JPY")
    listed = (await run(migrated, "merchants", "list", "--json")).documents
    assert [(m["name"], m["currency"], m["keys"]) for m in listed] == [
        ("Ama's Messages", "GHS", 0),
        ("Tanaka Maps", "JPY", 0),
    ]
    assert first.document["merchant_id"] == listed[0]["merchant_id"]
    # what comes next can be pasted
    assert f"wallet keys create {listed[1]['merchant_id']} --environment" in second.out
    assert "Tanaka Maps" in (await run(migrated, "merchants", "list")).out


async def test_a_key_is_what_its_options_say(migrated, merchant, api_process):
    scopes = ("--scope", "credits:read", "--scope", "payments:write")
    networks = ("--allow", "203.0.113.0/24", "--allow", "2001:db8::1")
    more = ("--expires", "2999-01-31T00:00:00Z", "--requests-per-second", "250")
    done = await create(
        migrated, merchant, *scopes, *networks, *more, "--json", environment="live"
    )
    assert done.status == 0, done.err
    key = done.document
    principal = await api_process.admit(key["client_id"], key["client_secret"])
    assert principal.owner == (merchant, "live")
    assert principal.scopes == {"credits:read", "payments:write"}
    assert principal.allowed_networks == ("203.0.113.0/24", "2001:db8::1/128")
    assert principal.requests_per_second == 250
    (listed,) = (await run(migrated, "keys", "list", merchant, "--json")).documents
    assert (listed["label"], listed["status"]) == ("my laptop", "active")
    assert listed["expires_at"] == "2999-01-31T00:00:00Z"
    assert listed["hash_keys"] == [SecretKeys((SECRET_KEYS,)).for_purpose(PURPOSE)[0].name]


async def test_a_key_may_do_everything_unless_told_otherwise(migrated, merchant, api_process):
    key = (await create(migrated, merchant, "--json")).document
    principal = await api_process.admit(key["client_id"], key["client_secret"])
    assert len(SCOPES) == 10
    assert (principal.scopes, principal.allowed_networks) == (set(SCOPES), ())
    assert (principal.owner, principal.requests_per_second) == ((merchant, "sandbox"), 100)


async def test_a_secret_is_shown_once_and_nowhere_else(migrated, merchant):
    arguments = ("keys", "create", merchant, "--environment", "live", "--label", "x")
    process = await start(migrated, *arguments)
    created = await finish(process)
    (secret,) = SECRET.findall(created.out)
    client_id = re.search(r"^client id +([0-9a-f]{12})$", created.out, re.MULTILINE)[1]
    assert created.err == ""
    for options in ((), ("--json",)):
        listed = await run(migrated, "keys", "list", merchant, *options)
        assert client_id in listed.out
        assert SECRET.search(listed.out + listed.err) is None
    rolled = await run(migrated, "keys", "roll", client_id)
    (other,) = SECRET.findall(rolled.out)
    assert other != secret
    revoked = await run(migrated, "keys", "revoke", client_id)
    assert SECRET.search(revoked.out + revoked.err + rolled.err) is None


async def test_a_roll_says_until_when_the_old_secret_works(
    migrated, merchant, api_process, connection
):
    key = (await create(migrated, merchant, "--json")).document
    now = await connection.fetchval("SELECT clock_timestamp()")
    rolled = (await run(migrated, "keys", "roll", key["client_id"], "--json")).document
    until = Instant.parse(rolled["previous_until"])
    assert timedelta(hours=24) <= until - now < timedelta(hours=24, minutes=5)
    assert rolled["client_id"] == key["client_id"]
    for secret in (key["client_secret"], rolled["client_secret"]):
        assert await api_process.admits(key["client_id"], secret)

    said = await run(migrated, "keys", "roll", key["client_id"], "--overlap", "30m")
    assert re.search(r"works until \S+Z \(30m\)", said.out)
    said = await run(migrated, "keys", "roll", key["client_id"], "--overlap", "0s")
    assert "doesn't work any more" in said.out
    for secret in (key["client_secret"], rolled["client_secret"]):
        assert not await api_process.admits(key["client_id"], secret)
    assert await api_process.admits(key["client_id"], SECRET.search(said.out)[0])


async def test_a_revoked_key_is_good_for_nothing(migrated, merchant, api_process):
    key = (await create(migrated, merchant, "--json")).document
    client_id = key["client_id"]
    revoked = await run(migrated, "keys", "revoke", client_id, "--json")
    assert (revoked.document["status"], revoked.document["client_id"]) == ("revoked", client_id)
    assert not await api_process.admits(client_id, key["client_secret"])
    for again in (("keys", "revoke", client_id), ("keys", "roll", client_id)):
        done = await run(migrated, *again)
        assert (done.status, done.out, len(done.err.splitlines())) == (1, "", 1)
        assert f"{client_id} was revoked at" in done.err
        assert f"wallet keys create {merchant}" in done.err
    assert "revoked" in (await run(migrated, "keys", "list", merchant)).out
    assert (await run(migrated, "merchants", "list", "--json")).document["keys"] == 0


async def test_the_list_shows_which_keys_still_need_an_older_server_key(migrated, merchant):
    await create(migrated, merchant)
    rotated = migrated.model_copy(update={"secret_keys": SecretStr(f"{NEW},{SECRET_KEYS}")})
    await create(rotated, merchant)
    new, old = (SecretKeys((k,)).for_purpose(PURPOSE)[0].name for k in (NEW, SECRET_KEYS))
    documents = (await run(rotated, "keys", "list", merchant, "--json")).documents
    assert [key["hash_keys"] for key in documents] == [[old], [new]]
    shown = (await run(rotated, "keys", "list", merchant)).out
    assert old in shown
    assert f"The newest server key is {new}." in shown
    without = migrated.model_copy(update={"secret_keys": SecretStr("")})
    assert "newest" not in (await run(without, "keys", "list", merchant)).out


async def test_a_merchant_or_key_that_is_not_there_is_one_line_that_says_where_to_look(migrated):
    unknown = await create(migrated, "mch_nobody")
    for done in (unknown, await run(migrated, "keys", "list", "mch_nobody")):
        assert (done.status, done.out, len(done.err.splitlines())) == (1, "", 1)
        assert "'mch_nobody'" in done.err
        assert "wallet merchants list" in done.err
    for command in ("roll", "revoke"):
        done = await run(migrated, "keys", command, "0" * 12)
        assert (done.status, done.out, len(done.err.splitlines())) == (1, "", 1)
        assert "0" * 12 in done.err
        assert "wallet keys list" in done.err


async def test_a_merchant_without_keys_is_told_how_to_get_one(migrated, merchant):
    done = await run(migrated, "keys", "list", merchant)
    assert done.status == 0
    assert f"wallet keys create {merchant}" in done.out


async def test_a_database_without_tables_says_how_to_get_them(settings):
    for arguments in (("merchants", "list"), ("keys", "revoke", "0" * 12)):
        done = await run(settings, *arguments)
        assert (done.status, len(done.err.splitlines())) == (1, 1)
        assert "wallet migrate" in done.err

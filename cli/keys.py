"""`wallet keys`: credentials of merchants for the API."""

import asyncio
import re
from datetime import timedelta
from typing import Annotated, Final

import asyncpg
import typer

from api.access.keys import (
    PURPOSE,
    REQUESTS_PER_SECOND_DEFAULT,
    Key,
    NewKey,
    RolledKey,
    create_key,
    find_key,
    list_keys,
    list_merchants,
    revoke_key,
    roll_key,
)
from api.access.scopes import SCOPES
from api.secret_keys import SecretKeys
from cli.arguments import JsonOption, parse_duration
from cli.commands import Group
from cli.database import connected
from cli.errors import (
    KeyEndedError,
    UnknownKeyError,
    UnknownMerchantError,
    UsageMistakeError,
)
from cli.key_options import (
    AllowOption,
    EnvironmentOption,
    ExpiresOption,
    KeyOptions,
    LabelOption,
    RateOption,
    ScopeOption,
    check_key_options,
)
from cli.output import print_json, print_table, say
from engine.settings import Settings, load_settings
from schemas.instants import to_text, utc_now

OVERLAP_MAX: Final = timedelta(days=90)
_CLIENT_ID: Final = re.compile(r"[0-9a-f]{12}")

MerchantArgument = Annotated[
    str, typer.Argument(metavar="MERCHANT", help="Its id: mch_…, as in `wallet merchants list`.")
]
ClientIdArgument = Annotated[
    str, typer.Argument(metavar="CLIENT_ID", help="The key's public half: 12 hex digits.")
]
OverlapOption = Annotated[
    str, typer.Option("--overlap", metavar="TIME", help="How long the old secret works on.")
]

keys = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="""Create, list, roll and revoke keys for the API.

    A key is a client id and a client secret, for one merchant in one environment.
    The secret is shown once: only a hash is kept, made with WALLET_SECRET_KEYS.

    For example:
      wallet keys create mch_a1b2c3 --environment sandbox --label "my laptop"
      wallet keys list mch_a1b2c3
      wallet keys roll 3fa9c0d1e2b4
    """,
)


@keys.command()
def create(
    merchant: MerchantArgument,
    *,
    environment: EnvironmentOption,
    label: LabelOption,
    scope: ScopeOption = None,
    expires: ExpiresOption = None,
    allow: AllowOption = None,
    requests_per_second: RateOption = REQUESTS_PER_SECOND_DEFAULT,
    json: JsonOption = False,
) -> None:
    r"""Create a key and show its secret, this once.

    Scopes are payments, customers, credits, meters and licenses, each with :read
    or :write; give a key only those that it needs.

    For example:
      wallet keys create mch_a1b2c3 --environment sandbox --label "my laptop"
      wallet keys create mch_a1b2c3 --environment live --label billing \
          --scope credits:write --scope credits:read --allow 203.0.113.0/24 \
          --expires 2027-01-31T00:00:00Z --requests-per-second 250
    """
    options = check_key_options(
        environment=environment,
        label=label,
        scopes=scope,
        expires=expires,
        networks=allow,
        requests_per_second=requests_per_second,
    )
    settings = load_settings()
    key = asyncio.run(_create(settings, SecretKeys.of(settings), merchant, options))
    if json:
        print_json(key)
        return
    _print_secret(key)
    say(f"It is for {merchant}, {options.environment}. Use it as curl does with -u:")
    address = settings.public_url or f"http://{settings.api_host}:{settings.api_port}"
    say(f'\n  curl -u "$CLIENT_ID:$CLIENT_SECRET" {address.rstrip("/")}/v1/wallets')


@keys.command("list")
def list_(merchant: MerchantArgument, json: JsonOption = False) -> None:
    """List a merchant's keys, revoked and expired ones as well, never a secret.

    "server key" names the one of WALLET_SECRET_KEYS that the hash of its secret
    was made with. It can be taken away when no active key has it any more: the
    next use of a key makes its hash anew with the newest.

    For example:
      wallet keys list mch_a1b2c3
      wallet keys list mch_a1b2c3 --json | jq -r .client_id
    """
    settings = load_settings()
    found = asyncio.run(_list(settings, merchant))
    if json:
        for key in found:
            print_json(key)
    elif found:
        _print_keys(found)
        if settings.secret_keys.get_secret_value():
            newest = SecretKeys.of(settings).for_purpose(PURPOSE)[0]
            say(f"\nThe newest server key is {newest.name}.")
    else:
        say(f"{merchant} has no keys yet: `wallet keys create {merchant} …` makes one.")


@keys.command()
def roll(
    client_id: ClientIdArgument, overlap: OverlapOption = "24h", json: JsonOption = False
) -> None:
    """Give a key another secret, and show it, this once; the client id stays.

    The old secret works on for the overlap (24h unless told otherwise: 90s, 30m,
    7d), so that nothing has to stop while it is replaced. 0s ends it at once.

    For example:
      wallet keys roll 3fa9c0d1e2b4
      wallet keys roll 3fa9c0d1e2b4 --overlap 0s
    """
    _check_client_id(client_id)
    lasting = parse_duration(overlap)
    if lasting > OVERLAP_MAX:
        raise UsageMistakeError(f"--overlap: {overlap} is more than {OVERLAP_MAX.days}d")
    settings = load_settings()
    key = asyncio.run(_roll(settings, SecretKeys.of(settings), client_id, lasting))
    if json:
        print_json(key)
        return
    _print_secret(key)
    if lasting:
        say(f"The secret before it works until {to_text(key.previous_until)} ({overlap}).")
    else:
        say("The secret before it doesn't work any more.")


@keys.command()
def revoke(client_id: ClientIdArgument, json: JsonOption = False) -> None:
    """Make a key good for nothing, at once and for ever.

    For example:
      wallet keys revoke 3fa9c0d1e2b4
    """
    _check_client_id(client_id)
    key = asyncio.run(_revoke(client_id))
    if json:
        print_json(key)
    else:
        say(f"{client_id} ({key.label}) is revoked.")


async def _create(
    settings: Settings, secret_keys: SecretKeys, merchant_id: str, options: KeyOptions
) -> NewKey:
    if options.expires_at is not None and options.expires_at <= utc_now():
        raise UsageMistakeError(f"--expires: {to_text(options.expires_at)} is over")
    async with connected(settings) as connection:
        try:
            return await create_key(
                connection,
                secret_keys,
                merchant_id,
                options.environment,
                label=options.label,
                scopes=options.scopes,
                allowed_networks=options.allowed_networks,
                requests_per_second=options.requests_per_second,
                expires_at=options.expires_at,
            )
        except asyncpg.ForeignKeyViolationError:
            raise _unknown_merchant(merchant_id) from None


async def _list(settings: Settings, merchant_id: str) -> list[Key]:
    async with connected(settings) as connection:
        found = await list_keys(connection, merchant_id)
        if not found and merchant_id not in {
            merchant.merchant_id for merchant in await list_merchants(connection)
        }:
            raise _unknown_merchant(merchant_id)
    return found


async def _roll(
    settings: Settings, secret_keys: SecretKeys, client_id: str, overlap: timedelta
) -> RolledKey:
    async with connected(settings) as connection:
        rolled = await roll_key(connection, secret_keys, client_id, overlap)
        if rolled is None:
            raise _not_usable(client_id, await find_key(connection, client_id))
    return rolled


async def _revoke(client_id: str) -> Key:
    async with connected(load_settings()) as connection:
        revoked = await revoke_key(connection, client_id)
        key = await find_key(connection, client_id)
    if key is None or not revoked:
        raise _not_usable(client_id, key)
    return key


def _check_client_id(text: str) -> None:
    if _CLIENT_ID.fullmatch(text) is None:
        raise UsageMistakeError(
            f"{text!r} is not a client id: they are 12 hex digits, as in `wallet keys list`"
        )


def _unknown_merchant(merchant_id: str) -> UnknownMerchantError:
    return UnknownMerchantError(
        f"there is no merchant {merchant_id!r}: `wallet merchants list` has them all, and"
        " `wallet merchants create NAME` makes one"
    )


def _not_usable(client_id: str, key: Key | None) -> UnknownKeyError | KeyEndedError:
    if key is None:
        return UnknownKeyError(
            f"there is no key {client_id}: `wallet keys list MERCHANT` has a merchant's"
        )
    ended_at = key.revoked_at or key.expires_at
    when = f" at {to_text(ended_at)}" if ended_at else ""
    return KeyEndedError(
        f"{client_id} {'was revoked' if key.revoked_at else 'expired'}{when}, so nothing was done:"
        f" `wallet keys create {key.merchant_id} --environment {key.environment} --label …` makes"
        " another"
    )


def _print_secret(key: NewKey) -> None:
    say(f"client id      {key.client_id}")
    say(f"client secret  {key.client_secret}\n")
    say("Keep the secret safe: it is not shown again.")


def _print_keys(found: list[Key]) -> None:
    print_table(
        (
            *("client id", "environment", "status", "label", "scopes", "from"),
            *("per second", "created", "expires", "server key"),
        ),
        (
            (
                key.client_id,
                key.environment,
                key.status,
                key.label,
                "all" if set(key.scopes) == set(SCOPES) else " ".join(key.scopes),
                " ".join(key.allowed_networks) or "anywhere",
                key.requests_per_second,
                key.created_at,
                key.expires_at,
                " ".join(key.hash_keys) or None,
            )
            for key in found
        ),
        right=("per second",),
    )

"""`wallet merchants`: who may be given keys for the API."""

import asyncio
from typing import Annotated

import typer
from msgspec import Struct

from api.access.keys import create_merchant, list_merchants
from cli.arguments import JsonOption, check_text
from cli.commands import Group
from cli.database import connected
from cli.errors import UsageMistakeError
from cli.output import print_json, print_table, say
from engine.settings import load_settings
from schemas.ids import MerchantId
from schemas.money import is_currency

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What the merchant is called.")]
CurrencyOption = Annotated[
    str,
    typer.Option(
        "--currency", metavar="CODE", help="What its customers have unless told otherwise."
    ),
]

merchants = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="""Create and list merchants, who use the API by their keys.

    Each has a sandbox and a live environment, and sees nothing of the others.

    For example:
      wallet merchants create "Ama's Messages"
      wallet merchants list
    """,
)


class Created(Struct, frozen=True, kw_only=True):
    """A merchant, just created."""

    merchant_id: MerchantId
    name: str
    currency: str


@merchants.command()
def create(name: NameArgument, currency: CurrencyOption = "GHS", json: JsonOption = False) -> None:
    """Create a merchant, with both its environments; the keys come next.

    The name is shown to whoever pays on a checkout page.

    For example:
      wallet merchants create "Ama's Messages"
      wallet merchants create "Tanaka Maps" --currency JPY --json
    """
    check_text(name, "NAME")
    if not is_currency(currency):
        raise UsageMistakeError(
            f"--currency: {currency!r} is not a code of ISO 4217 for money, such as GHS or USD"
        )
    created = Created(
        merchant_id=asyncio.run(_create(name, currency)), name=name, currency=currency
    )
    if json:
        print_json(created)
    else:
        say(f"{created.merchant_id} is created. A key for it:\n")
        say(f"  wallet keys create {created.merchant_id} --environment sandbox --label first")


@merchants.command("list")
def list_(json: JsonOption = False) -> None:
    """List every merchant, and how many keys it can use now.

    For example:
      wallet merchants list
      wallet merchants list --json | jq -r .merchant_id
    """
    asyncio.run(_list(json))


async def _create(name: str, currency: str) -> str:
    async with connected(load_settings()) as connection:
        return await create_merchant(connection, name, currency)


async def _list(json: bool) -> None:
    async with connected(load_settings()) as connection:
        found = await list_merchants(connection)
    if json:
        for merchant in found:
            print_json(merchant)
        return
    if not found:
        say("There are no merchants yet: `wallet merchants create NAME` makes one.")
        return
    print_table(
        ("merchant", "name", "currency", "created", "keys"),
        ((m.merchant_id, m.name, m.currency, m.created_at, m.keys) for m in found),
        right=("keys",),
    )

"""All commands of `wallet`: each stands in a file of its own and is listed here."""

import typer

from cli.audit import audit
from cli.checkpoint import checkpoint
from cli.commands import Commands
from cli.dead_letters import dead_letters
from cli.demo import demo
from cli.dev import dev
from cli.explain import explain
from cli.keys import keys
from cli.log import log
from cli.merchants import merchants
from cli.migrate import migrate
from cli.processes import api, engine, projector
from cli.rebuild import rebuild
from cli.roll_forward import roll_forward
from cli.send import send
from cli.show import show
from cli.status import status
from cli.transactions import transactions
from cli.verify import verify

_START = "Start"
_USE = "Use"
_ADMIT = "Admit"
_OPERATE = "Operate"

app = typer.Typer(
    name="wallet",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Prepaid credit wallets on Kafka and PostgreSQL.

    Settings come from WALLET_* environment variables; without any, the commands
    look for Kafka at 127.0.0.1:9092 and PostgreSQL at 127.0.0.1:5432.

    For example:
      wallet dev                  everything on this machine, in the foreground
      wallet send usage.jsonl     put commands on the topic
      wallet show wal_a1b2c3      what a wallet holds now
      wallet COMMAND --help       what a command does, with examples
    """,
)

app.command(rich_help_panel=_START)(demo)
app.command(rich_help_panel=_START)(dev)
app.command(rich_help_panel=_START)(engine)
app.command(rich_help_panel=_START)(projector)
app.command(rich_help_panel=_START)(api)

app.command(rich_help_panel=_USE)(send)
app.command(rich_help_panel=_USE)(show)
app.command(rich_help_panel=_USE)(transactions)
app.command(rich_help_panel=_USE)(log)
app.command(rich_help_panel=_USE)(explain)

app.add_typer(merchants, name="merchants", rich_help_panel=_ADMIT)
app.add_typer(keys, name="keys", rich_help_panel=_ADMIT)

app.command(rich_help_panel=_OPERATE)(status)
app.command(rich_help_panel=_OPERATE)(verify)
app.command(rich_help_panel=_OPERATE)(checkpoint)
app.command(rich_help_panel=_OPERATE)(audit)
app.command(rich_help_panel=_OPERATE)(migrate)
app.command(rich_help_panel=_OPERATE)(rebuild)
app.command(rich_help_panel=_OPERATE)(roll_forward)
app.add_typer(dead_letters, name="dead-letters", rich_help_panel=_OPERATE)

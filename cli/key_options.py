"""What a key may be told to be, as options, and their checks."""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_interface, ip_network
from typing import Annotated, get_args

import typer
from msgspec import Struct

from api.access.keys import REQUESTS_PER_SECOND_DEFAULT
from api.access.scopes import SCOPES, Scope
from cli.arguments import check_text, parse_time
from cli.errors import UsageMistakeError
from schemas.ids import Environment

EnvironmentOption = Annotated[
    str, typer.Option("--environment", metavar="ENV", help="sandbox or live.")
]
LabelOption = Annotated[
    str, typer.Option("--label", metavar="TEXT", help="What it is for: shown in lists.")
]
ScopeOption = Annotated[
    list[str] | None,
    typer.Option("--scope", metavar="SCOPE", help="May do this; repeat it. Without: everything."),
]
ExpiresOption = Annotated[
    str | None,
    typer.Option("--expires", metavar="TIME", help="Good until 2027-01-31T00:00:00Z."),
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="CIDR", help="Only from there; repeat it. Without: anywhere."),
]
RateOption = Annotated[
    int,
    typer.Option(
        "--requests-per-second", min=1, max=1_000_000, metavar="N", help="How many it may make."
    ),
]


class KeyOptions(Struct, frozen=True, kw_only=True):
    """Options that have been checked."""

    environment: Environment
    label: str
    scopes: list[Scope]
    expires_at: datetime | None
    allowed_networks: list[str]
    requests_per_second: int = REQUESTS_PER_SECOND_DEFAULT


def check_key_options(
    *,
    environment: str,
    label: str,
    scopes: Sequence[str] | None,
    expires: str | None,
    networks: Sequence[str] | None,
    requests_per_second: int,
) -> KeyOptions:
    """The options as they are meant; raises UsageMistakeError if one can't be."""
    return KeyOptions(
        environment=_environment(environment),
        label=check_text(label, "--label"),
        scopes=[_scope(scope) for scope in dict.fromkeys(scopes or SCOPES)],
        expires_at=parse_time(expires, "--expires"),
        allowed_networks=list(dict.fromkeys(map(_network, networks or ()))),
        requests_per_second=requests_per_second,
    )


def _environment(text: str) -> Environment:
    for known in get_args(Environment):
        if text == known:
            environment: Environment = known
            return environment
    raise UsageMistakeError(
        f"--environment: it is {' or '.join(get_args(Environment))}, not {text!r}"
    )


def _scope(text: str) -> Scope:
    for known in SCOPES:
        if text == known:
            return known
    raise UsageMistakeError(f"--scope: {text!r} is none; there are {', '.join(SCOPES)}")


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        pass
    try:
        meant = ip_interface(text).network
    except ValueError:
        raise UsageMistakeError(
            f"--allow: {text!r} is not a network in CIDR notation, such as 203.0.113.0/24 or"
            " 2001:db8::/32, nor an address"
        ) from None
    raise UsageMistakeError(f"--allow: {text!r} is an address in {meant}: which is meant?")

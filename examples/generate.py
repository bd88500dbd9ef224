"""Writes a command file as an upstream billing service would write it, mistakes included.

    python examples/generate.py -o examples/usage.jsonl

Wallets, references, amounts and order come from a fixed seed. Only `expires_at` differs from run
to run: it is counted from `--start` (now), since a fixed date would soon be in the past.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

SEED = 8821
COMMANDS = 21_000
WALLETS = 500
SOON_S = 15

Command = dict[str, Any]


class Wallet(NamedTuple):
    id: str
    customer: str
    merchant: str
    environment: str
    currency: str


class Service(NamedTuple):
    """Something that is sold by the unit; the price is in hundredths of the currency's scale."""

    prefix: str
    description: str
    units_max: int
    price: int


MERCHANTS = {"mch_harmattan": ["GHS", "NGN", "USD"], "mch_shinkai": ["JPY", "KWD", "USD"]}
SCALE = {"GHS": 1, "NGN": 50, "USD": 1, "JPY": 2, "KWD": 3}
SERVICES = [
    Service("sms_batch", "{units} SMS messages sent", 50, 5),
    Service("otp", "{units} one-time passwords delivered", 20, 6),
    Service("email", "{units} emails sent", 400, 1),
    Service("api", "{units} API calls", 900, 1),
    Service("voice", "{units} minutes of voice calls", 30, 12),
    Service("storage", "{units} GB-hours of object storage", 200, 2),
    Service("tiles", "{units} map tile requests", 600, 1),
]
GRANTS = ["Welcome credit", "Goodwill for the outage", "Referral bonus", "Weekend promotion"]


def generate(
    start: datetime,
    commands: int = COMMANDS,
    wallets: int = WALLETS,
    soon_s: int = SOON_S,
    seed: int = SEED,
) -> list[bytes]:
    """The lines of the file, without their ends.

    `commands` counts what is well formed, before some of it is sent again; the lines that are no
    command come on top. Credits that expire soon do so `soon_s` seconds to one and a half times that
    after `start`.
    """
    billing = Billing(random.Random(seed), start, soon_s)
    good = [_line(command) for command in billing.commands(commands, wallets)]
    return _with_strays(good, billing.rng)


class Billing:
    """An upstream service with its customers' wallets."""

    def __init__(self, rng: random.Random, start: datetime, soon_s: int) -> None:
        self.rng = rng
        self._start = start
        self._soon_s = soon_s
        self._used = 0

    def commands(self, count: int, wallets: int) -> Iterator[Command]:
        """`count` commands: the wallets are opened and filled first, then used."""
        owned = [self._wallet() for _ in range(wallets)]
        for wallet in owned:
            yield self._create(wallet)
        for wallet in owned:
            yield self._money(wallet, "topup", 20_000, 90_000, "Top-up by card")
        episodes = [*self._episodes(owned, count // 250)]
        left = count - 2 * wallets - sum(map(len, episodes))
        episodes += [[self._everyday(self.rng.choice(owned))] for _ in range(left)]
        self.rng.shuffle(episodes)
        yield from _interleave(episodes, self.rng)

    def _everyday(self, wallet: Wallet) -> Command:
        kind = self.rng.random()
        if kind < 0.86:
            return self._debit(wallet)
        if kind < 0.92:
            return self._money(wallet, "topup", 2_000, 40_000, "Top-up by mobile money")
        return self._credit(wallet)

    def _episodes(self, owned: list[Wallet], each: int) -> Iterator[list[Command]]:
        """What is out of the ordinary: commands that have to come in this order."""
        for _ in range(each):
            wallets = iter(self.rng.sample(owned, 4))
            yield [self._overdraft(next(wallets))]
            yield [self._debit(self._wallet())]
            yield [self._in_wrong_currency(next(wallets))]
            yield self._taken_reference(next(wallets))
            yield self._freezing(next(wallets))
        for _ in range(max(2, each // 4)):
            wallets = iter(self.rng.sample(owned, 5))
            yield self._closing(next(wallets))
            yield [self._expired_already(next(wallets))]
            yield [self._create(next(wallets))]
            yield [self._plain(next(wallets), "unfreeze")]
            yield [self._of_another_merchant(next(wallets))]

    def _wallet(self) -> Wallet:
        merchant = self.rng.choice(list(MERCHANTS))
        return Wallet(
            id=f"wal_{self.rng.getrandbits(64):016x}",
            customer=f"cus_{self.rng.getrandbits(40):010x}",
            merchant=merchant,
            environment="sandbox" if self.rng.random() < 0.1 else "live",
            currency=self.rng.choice(MERCHANTS[merchant]),
        )

    def _plain(self, wallet: Wallet, kind: str) -> Command:
        return {"type": kind, "wallet_id": wallet.id, "reference": self._reference(kind)}

    def _reference(self, prefix: str) -> str:
        self._used += 1
        return f"{prefix}_{self._used:06d}"

    def _create(self, wallet: Wallet) -> Command:
        return self._plain(wallet, "create_wallet") | {
            "merchant_id": wallet.merchant,
            "environment": wallet.environment,
            "customer_id": wallet.customer,
            "currency": wallet.currency,
            "metadata": {"plan": self.rng.choice(["starter", "growth", "scale"])},
        }

    def _debit(self, wallet: Wallet) -> Command:
        service = self.rng.choice(SERVICES)
        units = self.rng.randint(1, service.units_max)
        command = {
            "type": "debit",
            "wallet_id": wallet.id,
            "reference": self._reference(service.prefix),
            "amount": units * service.price * SCALE[wallet.currency],
            "description": service.description.format(units=units),
            "metadata": {"service": service.prefix, "units": units},
        }
        if self.rng.random() < 0.3:
            command |= {"merchant_id": wallet.merchant, "environment": wallet.environment}
        return command

    def _money(
        self, wallet: Wallet, kind: str, least: int, most: int, description: str
    ) -> Command:
        amount = self.rng.randrange(least, most, 100) * SCALE[wallet.currency]
        return self._plain(wallet, kind) | {
            "amount": amount,
            "currency": wallet.currency,
            "description": description,
        }

    def _credit(self, wallet: Wallet) -> Command:
        command = self._money(wallet, "credit", 500, 8_000, self.rng.choice(GRANTS))
        kind = self.rng.random()
        if kind < 0.5:
            soon = self._soon_s * (1 + self.rng.randrange(500) / 1_000)
            command |= {"expires_at": self._after(timedelta(seconds=soon)), "priority": 900}
        elif kind < 0.9:
            far = timedelta(days=self.rng.randint(30, 400))
            command |= {"expires_at": self._after(far)}
        if self.rng.random() < 0.3:
            command |= {"priority": self.rng.choice([0, 10, 50, 500, 1000])}
        return command

    def _after(self, delay: timedelta) -> str:
        return (self._start + delay).isoformat().replace("+00:00", "Z")

    def _overdraft(self, wallet: Wallet) -> Command:
        return self._debit(wallet) | {"amount": 10**9 * SCALE[wallet.currency]}

    def _in_wrong_currency(self, wallet: Wallet) -> Command:
        other = "EUR" if self.rng.random() < 0.5 else "XOF"
        return self._money(wallet, self.rng.choice(["debit", "topup"]), 100, 900, "") | {
            "currency": other
        }

    def _taken_reference(self, wallet: Wallet) -> list[Command]:
        first = self._debit(wallet)
        return [first, first | {"amount": first["amount"] + 1}]

    def _expired_already(self, wallet: Wallet) -> Command:
        return self._credit(wallet) | {"expires_at": self._after(timedelta(days=-1))}

    def _of_another_merchant(self, wallet: Wallet) -> Command:
        other = next(merchant for merchant in MERCHANTS if merchant != wallet.merchant)
        return self._debit(wallet) | {"merchant_id": other}

    def _freezing(self, wallet: Wallet) -> list[Command]:
        commands = [self._plain(wallet, "freeze"), self._debit(wallet)]
        if self.rng.random() < 0.2:
            commands.append(self._plain(wallet, "freeze"))
        commands.append(self._money(wallet, "topup", 1_000, 5_000, "Top-up while frozen"))
        return [*commands, self._plain(wallet, "unfreeze")]

    def _closing(self, wallet: Wallet) -> list[Command]:
        return [
            self._money(wallet, "credit", 500, 900, "Left when the wallet is closed"),
            self._plain(wallet, "close"),
            self._debit(wallet),
        ]


def _interleave(episodes: list[list[Command]], rng: random.Random) -> Iterator[Command]:
    """Each episode in its own order, with other commands in between."""
    waiting: list[list[Command]] = []
    for episode in episodes:
        waiting.append(list(episode))
        while len(waiting) > 40:
            yield _next_of(waiting, rng)
    while waiting:
        yield _next_of(waiting, rng)


def _next_of(waiting: list[list[Command]], rng: random.Random) -> Command:
    place = rng.randrange(len(waiting))
    command = waiting[place].pop(0)
    if not waiting[place]:
        waiting[place] = waiting[-1]
        waiting.pop()
    return command


def _line(command: Command) -> bytes:
    return json.dumps(command, separators=(",", ":"), ensure_ascii=False).encode()


def _with_strays(good: list[bytes], rng: random.Random) -> list[bytes]:
    """With lines delivered again, near and far, and lines that are no command."""
    strays: dict[int, list[bytes]] = {}
    for place in rng.sample(range(len(good)), len(good) // 50):
        distance = rng.choice([1, 3, 50, len(good) // 3])
        strays.setdefault(min(place + distance, len(good) - 1), []).append(good[place])
    for bad in _bad_lines(good[-1]):
        strays.setdefault(rng.randrange(len(good)), []).append(bad)
    lines = []
    for place, line in enumerate(good):
        lines += [line, *strays.get(place, ())]
    return lines


def _bad_lines(sample: bytes) -> Iterator[bytes]:
    """One line for each way of not being a command that one sees in practice, and some worse."""
    debit: Command = {
        "type": "debit",
        "wallet_id": "wal_0000000000000000",
        "reference": "bad_line",
        "amount": 500,
        "description": "10 SMS messages sent",
    }
    yield from (b"usage export, page 2 of 9", sample[: len(sample) // 2], b"{}", b"[]", b"null")
    yield from (b"\xff\xfe\x00d\x00e\x00b", _line(debit).replace(b"SMS", b"SM\xe9"))
    yield b"[" * 40_000 + b"]" * 40_000
    yield _line(debit | {"description": "x" * 100_000})
    for amount in (0, -500, 5.5, "500", True, None, 2**63, 10**400, float("nan")):
        yield _line(debit | {"amount": amount})
    for field in ("type", "wallet_id", "reference", "amount"):
        yield _line({name: value for name, value in debit.items() if name != field})
    for change in (
        {"type": "refund"},
        {"ammount": 500},
        {"wallet_id": "customer 17"},
        {"reference": ""},
        {"reference": "r" * 300},
        {"reference": "nul\0"},
        {"currency": "GHC"},
        {"currency": "cedi"},
        {"metadata": {f"key{number}": number for number in range(60)}},
        {"type": "credit", "expires_at": "2031-01-01T00:00:00"},
        {"type": "credit", "expires_at": "10000-01-01T00:00:00Z"},
        {"type": "credit", "priority": 1001},
    ):
        yield _line(debit | change)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="the file to write (else: stdout)")
    parser.add_argument("--commands", type=int, default=COMMANDS, help="default: %(default)s")
    parser.add_argument("--wallets", type=int, default=WALLETS, help="default: %(default)s")
    parser.add_argument(
        "--soon",
        type=int,
        default=SOON_S,
        metavar="SECONDS",
        help="when the first credits expire, after the start (default: %(default)s)",
    )
    parser.add_argument(
        "--start",
        type=_moment,
        default=datetime.now(UTC),
        help="what expiry is counted from, RFC 3339 with a zone (default: now)",
    )
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    return parser.parse_args()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no zone; end it with Z")
    return moment


def main() -> None:
    options = _arguments()
    lines = generate(
        options.start, options.commands, options.wallets, options.soon, seed=options.seed
    )
    data = b"".join(line + b"\n" for line in lines)
    if options.output is None:
        sys.stdout.buffer.write(data)
    else:
        options.output.write_bytes(data)


if __name__ == "__main__":
    main()

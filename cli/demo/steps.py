"""The five steps of the demo, in order."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from shlex import quote
from typing import Final

from asyncpg import Connection

from cli.database import connected
from cli.demo.client import MerchantClient
from cli.demo.crash import crash_an_engine
from cli.demo.load import Load
from cli.demo.narration import Narration
from cli.demo.outcomes import Outcomes
from cli.demo.service import DemoService
from cli.demo.statement import show_statement
from cli.demo.usage import EXPIRES_AFTER_S, write_usage
from cli.demo.watch import QUERIES, Watch
from cli.errors import DemoFailedError
from cli.output import flush, say
from cli.proof import Shown, print_proof
from cli.verify import verify_with_bars
from schemas.ids import Owner

_OWN_CLAIM: Final = "every command that the demo sent has exactly one outcome, by its own record"
_SHOWN_CURRENCIES: Final = ["GHS", "USD", "KWD"]


class DemoRun:
    """One run in a data directory. `finished`: it came to its end; `passed`: all was proven."""

    def __init__(self, data_dir: Path, commands: int, *, keep: bool) -> None:
        self._commands = commands
        self._keep = keep
        self._narration = Narration()
        self._service = DemoService(data_dir, self._narration.tell)
        self.finished = False
        self.passed = False

    async def run(self) -> None:
        """All steps; whatever was started is stopped at the end."""
        tell = self._narration.tell
        try:
            self._narration.step(1, "Start everything, as in production")
            await self._service.start()
            tell(f"ready: commands are decided, {self._service.api_url} answers")
            async with connected(self._service.settings) as connection:
                await self._show(connection)
            self.finished = True
            if self._keep:
                await self._wait_for_ctrl_c()
        finally:
            tell("stopping everything")
            await self._service.stop()
        tell("nothing is left running")

    async def _show(self, connection: Connection) -> None:
        watch = Watch(connection, self._service.check)
        load = await self._write_commands()
        begun = await watch.now()
        await self._send_and_crash(load, watch)
        seconds = await self._recover(load, watch)
        self._narration.tell("waiting for the credits that run out meanwhile")
        lots = await watch.until_expired(begun + timedelta(seconds=3 * EXPIRES_AFTER_S))
        await watch.until_published_and_projected()
        self._narration.step(4, "What became of it")
        outcomes = await self._show_outcomes(connection, load, watch)
        self._show_rates(outcomes.total, seconds, watch.best_rate, lots)
        await self._show_wallet(connection)
        self._narration.step(5, "The proof")
        await self._prove(watch, outcomes)

    async def _write_commands(self) -> Load:
        self._narration.step(2, "Send the commands of a billing service")
        usage = await write_usage(self._commands)
        load = Load(usage)
        self._narration.tell(
            f"wrote {len(load.lines):,} lines to examples/{usage.name}: duplicates, overdrafts,"
            " taken references and lines that are no command among them"
        )
        return load

    async def _send_and_crash(self, load: Load, watch: Watch) -> None:
        with self._narration.bar("sending", len(load.lines)) as update:
            sending = asyncio.create_task(load.send(self._service.settings, update))
            try:
                crash = await crash_an_engine(self._service, watch, load)
                started = self._service.start_engine()
                await sending
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        self._narration.tell(f"sent {len(load.sent):,} lines, each acknowledged by Kafka")
        self._narration.step(3, "Kill an engine in the middle of it")
        self._narration.tell(
            f"killed {crash.killed} with SIGKILL while {crash.undecided:,} of"
            f" {len(load.lines):,} commands were undecided, and started {started} in its place"
        )

    async def _recover(self, load: Load, watch: Watch) -> float:
        """Wait until all is decided, published and projected; the seconds since the first line."""
        with self._narration.bar("deciding", len(load.lines)) as update:
            await watch.until_decided(load.ends, update)
        seconds = time.monotonic() - load.begun_s
        self._narration.tell(f"all {len(load.lines):,} are decided")
        await watch.until_published_and_projected()
        self._narration.tell("every entry is on wallet.events and in every read model")
        return seconds

    async def _show_outcomes(self, connection: Connection, load: Load, watch: Watch) -> Outcomes:
        outcomes = Outcomes()
        await outcomes.resolve(connection, load.sent)
        outcomes.show()
        await outcomes.compare_with_log(connection)
        decided = (await watch.decided()).offsets
        if decided != dict.fromkeys(decided, 0) | load.ends:
            raise DemoFailedError(f"decided up to {decided}, and sent were {load.ends}")
        return outcomes

    def _show_rates(self, total: int, seconds: float, best: float, lots: int) -> None:
        say(
            f"\n  {total:,} commands decided in {seconds:.1f} s, the crash included:"
            f" {total / seconds:,.0f}/s; {best:,.0f} in the best second."
        )
        say(f"  {lots:,} credits ran out while it went on, each with its entry in the log.")
        flush()

    async def _show_wallet(self, connection: Connection) -> None:
        wallet = await connection.fetchrow(QUERIES["eventful_wallet"], _SHOWN_CURRENCIES)
        if wallet is None:
            raise DemoFailedError("no wallet has had enough happen to it for a statement")
        wallet_id, *owner = wallet
        client = await MerchantClient.of(
            connection, self._service.settings, self._service.api_url, Owner(*owner)
        )
        await show_statement(client, wallet_id)
        say("  Its merchant can ask for it over HTTP:\n")
        say(f"  $ KEY={client.credentials}")
        for path in ("", "/transactions?type=debit&limit=2"):
            path_and_query = f"/v1/wallets/{wallet_id}{path}"
            say(f"  $ curl -u $KEY '{client.api_url}{path_and_query}'")
            say(f"  {(await client.get(path_and_query)).decode()}\n")
        flush()

    async def _prove(self, watch: Watch, outcomes: Outcomes) -> None:
        final_at = await watch.final_at()
        seconds = max((final_at - await watch.now()).total_seconds(), 0)
        self._narration.tell(
            f"waiting {seconds:.0f} s, until no entry as old as the last one can come any more"
        )
        await watch.until(final_at)
        proof = await verify_with_bars(self._service.settings)
        say("")
        print_proof(proof, [Shown(outcomes.total, _OWN_CLAIM)])
        self.passed = proof.passed
        self._narration.tell("done")

    async def _wait_for_ctrl_c(self) -> None:
        settings = self._service.settings
        say("\nEverything stays up until Ctrl-C. In another terminal:\n")
        say(f"  export WALLET_KAFKA_BOOTSTRAP={settings.kafka_bootstrap}")
        say(f"  export WALLET_DATABASE_URL={settings.database_url}")
        say(f'  export WALLET_SECRET_KEYS="$(cat {quote(str(self._service.secret_keys_file))})"')
        say("  wallet status\n")
        flush()
        while True:
            self._service.check()
            await asyncio.sleep(1)

"""A PostgreSQL cluster that a test may lose: set up plainly, worked on by pasted commands."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from cli.stack.ports import HOST, free_port
from cli.stack.postgres import _PROGRAMS
from cli.stack.unprivileged import hand_over, let_read, unprivileged_user
from tests.support.databases import connection_to

_SET_UP = """
initdb -D "$PGDATA" -U postgres -A trust -E UTF8 --locale=C --no-instructions
cat >> "$PGDATA/postgresql.conf" <<END
listen_addresses = '$PGHOST'
port = $PGPORT
unix_socket_directories = ''
max_connections = 50
END
pg_ctl start -D "$PGDATA" -l "$PGDATA/server.log"
createdb -h "$PGHOST" -p "$PGPORT" -U postgres wallet
"""


@dataclass(frozen=True)
class OwnCluster:
    """`directory` has its data in `data` and what is kept of them in `backups`."""

    directory: Path
    port: int

    @property
    def database_url(self) -> str:
        return f"postgresql://postgres@{HOST}:{self.port}/wallet"

    @property
    def environment(self) -> dict[str, str]:
        """What somebody who administers this cluster has in their shell."""
        return {
            "PATH": f"{_PROGRAMS}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PGDATA": str(self.directory / "data"),
            "BACKUPS": str(self.directory / "backups"),
            "PGHOST": HOST,
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGDATABASE": "wallet",
        }

    async def paste(self, *blocks: str) -> str:
        """Paste blocks into a shell of the user that PostgreSQL runs as; what it printed."""
        return await asyncio.to_thread(self._paste, "\n".join(blocks))

    def _paste(self, script: str) -> str:
        # a file and no pipe: a server that the shell starts keeps it open
        with tempfile.TemporaryFile() as printed:
            uid, gid = unprivileged_user() or (None, None)
            done = subprocess.run(
                ["bash", "-c", script],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.directory,
                user=uid,
                group=gid,
                extra_groups=None if gid is None else [],
                timeout=90,
            )
            printed.seek(0)
            text = printed.read().decode(errors="replace")
        assert done.returncode == 0, text
        return text

    def kill(self) -> None:
        """End the server as a crash does, and wait until it is gone with its sessions."""
        pid_file = self.directory / "data" / "postmaster.pid"
        server = psutil.Process(int(pid_file.read_text().split()[0]))
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=30)

    async def now(self) -> str:
        """The server's clock, as a recovery target takes it."""
        async with connection_to(self.database_url) as connection:
            return str(await connection.fetchval("SELECT clock_timestamp()::text"))


@asynccontextmanager
async def own_cluster() -> AsyncIterator[OwnCluster]:
    """A running cluster with an empty database `wallet`; it is stopped and deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="wallet-cluster-") as name:
        cluster = OwnCluster(Path(name), free_port())
        user = unprivileged_user()
        if user is not None:
            let_read(_PROGRAMS.parents[1])
            hand_over(cluster.directory, user)
        try:
            await cluster.paste(_SET_UP)
            yield cluster
        finally:
            await cluster.paste('pg_ctl stop -D "$PGDATA" -m immediate || true')

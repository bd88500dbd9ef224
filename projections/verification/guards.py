"""Does the database still refuse to change the log, and to take an entry twice?"""

from typing import Final

from asyncpg import Connection

from projections.verification.findings import Findings
from projections.verification.queries import QUERIES

_CONSTRAINTS: Final = ("log_pkey", "log_version_once", "log_command_once")


async def check_guards(connection: Connection, findings: Findings) -> None:
    """Looks at the log's trigger and its constraints."""
    findings.checked("guards", 1 + len(_CONSTRAINTS))
    (row,) = await connection.fetch(QUERIES["guards"])
    for table in row["changeable"]:
        findings.report(
            "guards",
            "the trigger log_is_append_only is off: entries can be changed and deleted; turn it "
            f"on with ALTER TABLE {table} ENABLE TRIGGER log_is_append_only",
        )
    for name in _CONSTRAINTS:
        if name not in row["constraints"]:
            findings.report("guards", f"the constraint {name} is missing from the log")

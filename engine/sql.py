"""Named queries, kept in `.sql` files.

A query begins with the line `-- name: its_name`; the comment lines after it say what it does.
"""

import re
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_queries(path: Path) -> dict[str, str]:
    """The file's queries by name. Raises ValueError if a name stands twice or a query is empty."""
    parts = _NAME.split(path.read_text(encoding="utf-8"))
    queries: dict[str, str] = {}
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        query = "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip()
        if name in queries or not query:
            raise ValueError(f"{path.name}: query {name!r} is empty or stands twice")
        queries[name] = query
    return queries

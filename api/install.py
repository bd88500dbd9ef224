"""Setting up a database whole: log, read models, and the rows that the HTTP API keeps."""

from pathlib import Path

from projections import install as read_side


async def install(database_url: str) -> list[str]:
    """As `projections.install.install`, with the API's own tables."""
    directories = (*read_side.DIRECTORIES, Path(__file__).with_name("migrations"))
    return await read_side.install(database_url, directories)

from pathlib import Path

import pytest

from cli.stack import Stack
from cli.stack.errors import DataDirUnusableError


@pytest.mark.parametrize("within", [".", "data"])
async def test_a_directory_that_cannot_be_is_told(tmp_path: Path, within: str) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    with pytest.raises(DataDirUnusableError, match="choose another directory"):
        await Stack(in_the_way / within).start()

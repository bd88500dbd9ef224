"""What documents tell people to type."""

import re
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]


def code_blocks(document: str, heading: str) -> list[str]:
    """The indented blocks below a heading and above the next one, as they are pasted."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    start = lines.index(heading)
    blocks: list[list[str]] = [[]]
    for line in lines[start + 1 :]:
        if re.match(r"#+ ", line):
            break
        if line.startswith("    "):
            blocks[-1].append(line)
        elif line or not blocks[-1]:
            blocks.append([])
        else:
            blocks[-1].append("")
    return [dedent("\n".join(block)).strip() for block in blocks if any(block)]

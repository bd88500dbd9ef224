"""The contract as files for other languages: `python -m schemas.contracts docs/contracts`."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from schemas import asyncapi
from schemas.json_schemas import command_schema, dead_letter_schema, entry_schema


class _Dumper(yaml.SafeDumper):
    """Long text as a block, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _to_json(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def contract_files() -> dict[str, str]:
    """Every file of the contract by its name; the same bytes on every run."""
    return {
        "command.schema.json": _to_json(command_schema()),
        "entry.schema.json": _to_json(entry_schema()),
        "dead-letter.schema.json": _to_json(dead_letter_schema()),
        "asyncapi.yaml": yaml.dump(
            asyncapi.document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=99
        ),
    }


def main(arguments: list[str]) -> int:
    """Write the files into the named directory."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m schemas.contracts DIRECTORY\n")
        return 2
    directory = Path(arguments[0])
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in contract_files().items():
        (directory / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{directory / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

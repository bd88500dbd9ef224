"""What a benchmark leaves behind as a file."""

import argparse
import json
import platform
from pathlib import Path


def write_json(path: Path, arguments: argparse.Namespace, results: object) -> None:
    """The machine, what was asked for, and every figure."""
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    document = {"machine": machine, "settings": vars(arguments), "results": results}
    path.write_text(json.dumps(document, indent=2, default=str) + "\n")

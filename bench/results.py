"""What a benchmark leaves behind as a file."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.machine import describe_machine


def write_json(
    path: Path, arguments: argparse.Namespace, results: object, **more: Mapping[str, Any]
) -> None:
    """The machine, what was asked for, `more` by its names, and every figure."""
    document = {
        "machine": describe_machine(),
        "arguments": vars(arguments),
        **more,
        "results": results,
    }
    path.write_text(json.dumps(document, indent=2, default=str) + "\n")

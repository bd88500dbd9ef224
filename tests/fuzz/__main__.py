"""Guided by coverage, for as long as wanted: python -m tests.fuzz TARGET [--minutes 5].

What reaches something new is kept in tests/fuzz/corpus/TARGET, which the test suite starts from.
Needs the package atheris, which is not among the project's own: pip install atheris
"""

import argparse
import sys

from tests.fuzz.corpus import DIRECTORY


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", choices=["command", "http_body", "cursor", "authorization"])
    parser.add_argument("--minutes", type=float, default=5)
    options = parser.parse_args()
    try:
        import atheris  # noqa: PLC0415
    except ImportError:
        print(
            "python -m tests.fuzz needs the package atheris: .venv/bin/python -m pip install"
            " atheris",
            file=sys.stderr,
        )
        return 1
    with atheris.instrument_imports(include=["schemas", "engine.intake", "api"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415
    directory = DIRECTORY / options.target
    arguments = [
        sys.argv[0],
        f"-max_total_time={options.minutes * 60:.0f}",
        "-max_len=4096",
        "-timeout=10",
        f"-artifact_prefix={directory}/",
        str(directory),
    ]
    atheris.Setup(arguments, TARGETS[options.target])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())

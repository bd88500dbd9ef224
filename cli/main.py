"""Entry point of the `wallet` script: from the first moment on, Ctrl-C ends it in one line."""

import os
import signal
from typing import Any, Final

_INTERRUPTED_STATUS: Final = 130


def main() -> None:
    """Run the command that the arguments name."""
    # whoever is started with SIGINT ignored, as by nohup, keeps it so
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, _end_at_once)
    # the commands take a second to import, and an import that is broken off leaves a traceback
    from cli.app import app  # noqa: PLC0415
    from cli.output import open_closed_streams  # noqa: PLC0415

    open_closed_streams()
    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    app(prog_name="wallet")


def _end_at_once(*_: Any) -> None:
    os.write(2, b"wallet: interrupted before it began\n")
    os._exit(_INTERRUPTED_STATUS)


if __name__ == "__main__":
    main()

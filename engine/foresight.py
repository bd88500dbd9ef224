"""Whether a batch may be decided without asking the log which of its commands are repeats.

The unique index over command ids refuses what was recorded before, so a look-up beforehand is not
what makes a command happen once: it saves a refused append. Where repeats are rare and batches
small, the look-up costs more than it saves.
"""

from typing import Final

COMMANDS_MAX: Final = 8
"""A larger batch shares one look-up among many, and would lose much if it were refused."""

CAREFUL_BATCHES: Final = 32


class Foresight:
    """Expects no repeats in a small batch, unless there were some a short while ago."""

    def __init__(self) -> None:
        self._careful = 0

    def expects_no_repeat(self, commands: int) -> bool:
        return commands <= COMMANDS_MAX and not self._careful

    def looked(self, repeats: int) -> None:
        """So many of a batch's commands were found in the log."""
        if repeats:
            self.erred()
        elif self._careful:
            self._careful -= 1

    def erred(self) -> None:
        """A batch was refused, or could have been, for a repeat."""
        self._careful = CAREFUL_BATCHES

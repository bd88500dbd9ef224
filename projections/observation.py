"""What can be watched of a projector while it works. Nobody does, unless the settings ask for it."""

from typing import Final


class Observer:
    """Takes no notice of anything; whoever does overrides what it wants to see."""

    def took_in(self, model: str, entries: int, seconds: float) -> None:
        """A range of entries is in the read model."""

    def refused(self, model: str) -> None:
        """The database has refused a range of entries."""

    def outdated(self, model: str, *, is_outdated: bool) -> None:
        """Whether readers see a version of the model that this release does not fill."""


NOBODY: Final = Observer()

"""Instants: moments in UTC with microsecond precision, as RFC 3339 text on the wire."""

import re
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

# hours and minutes are bounded here: releases of Python differ in whether 24:00 is a time
_HOUR_MINUTE = r"(?:[01]\d|2[0-3]):[0-5]\d"
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]"
    rf"{_HOUR_MINUTE}:\d\d(?P<fraction>\.\d+)?(?:[Zz]|[+-]{_HOUR_MINUTE})",
    re.ASCII,
)
_FRACTION_DIGITS_MAX = 6


class Instant(datetime):
    """A moment that a caller gave, in UTC.

    `Instant.parse` refuses what could be understood in two ways or would be rounded: no zone,
    more than six fractional digits, and times whose UTC year is not 1 to 9999.
    """

    requirement: ClassVar[str] = (
        "an RFC 3339 time with a zone and at most six fractional digits of a second"
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read RFC 3339 text; raises ValueError with a sentence for the caller."""
        match = _RFC_3339.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:40]!r} is not an RFC 3339 time with a zone")
        fraction = match["fraction"]
        if fraction is not None and len(fraction) - 1 > _FRACTION_DIGITS_MAX:
            raise ValueError("a time has at most six fractional digits of a second")
        try:
            return cls.fromisoformat(text.upper()).astimezone(UTC)
        except OverflowError:
            raise ValueError("a time has to be in the years 1 to 9999, in UTC") from None

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """The same moment as an Instant. Raises ValueError if it has no zone."""
        if moment.tzinfo is None:
            raise ValueError("a moment needs a zone")
        return cls.fromtimestamp(0, UTC) + (moment - EPOCH)

    def microseconds(self) -> int:
        """Microseconds since the Unix epoch."""
        return to_microseconds(self)

    def plain(self) -> datetime:
        """The same moment as a plain datetime."""
        return from_microseconds(self.microseconds())


def utc_now() -> datetime:
    """The moment of the call."""
    return datetime.now(UTC)


def to_microseconds(moment: datetime) -> int:
    """Microseconds from the Unix epoch to `moment`, exactly."""
    return (moment - EPOCH) // MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """The moment that lies `microseconds` after the Unix epoch."""
    return EPOCH + timedelta(microseconds=microseconds)


def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC, with Z, and a fraction only where there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

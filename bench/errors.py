"""What ends a benchmark early, told in one line."""


class BenchError(Exception):
    """The root. The message says what to do next, where anything can be done."""

"""What a run of the simulation ends with when a promise was broken."""


class Violation(AssertionError):  # noqa: N818 it is a finding, not an error of the simulation
    """A promise was broken; `kind` is a stable word for it, the text tells where and how."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text

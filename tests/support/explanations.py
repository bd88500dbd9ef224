"""An explanation follows from its chain, and from no less."""

from collections.abc import Callable, Sequence

from audit.errors import ExplanationError
from audit.explanation import Explanation
from schemas.entries import Entry


def assert_minimal(
    explanation: Explanation, explain: Callable[[Sequence[Entry]], Explanation]
) -> None:
    """The chain alone leads to the same reasons, and without any one entry it does not."""
    chain = explanation.chain
    assert explain(chain) == explanation
    cited = {position for reason in explanation.reasons for position in reason.positions}
    assert cited <= {entry.position for entry in chain}
    for left_out in chain:
        rest = [entry for entry in chain if entry is not left_out]
        try:
            again = explain(rest)
        except ExplanationError:
            continue
        assert again.reasons != explanation.reasons, f"position {left_out.position} is not needed"

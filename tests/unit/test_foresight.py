"""When a batch is decided without asking the log for repeats."""

from engine.foresight import CAREFUL_BATCHES, COMMANDS_MAX, Foresight


def test_small_batches_expect_no_repeat() -> None:
    foresight = Foresight()
    assert foresight.expects_no_repeat(1)
    assert foresight.expects_no_repeat(COMMANDS_MAX)
    assert not foresight.expects_no_repeat(COMMANDS_MAX + 1)


def test_after_a_repeat_it_is_careful_until_there_were_none_for_a_while() -> None:
    foresight = Foresight()
    foresight.erred()
    for _ in range(CAREFUL_BATCHES - 1):
        foresight.looked(repeats=0)
    foresight.looked(repeats=1)
    for _ in range(CAREFUL_BATCHES):
        assert not foresight.expects_no_repeat(1)
        foresight.looked(repeats=0)
    assert foresight.expects_no_repeat(1)

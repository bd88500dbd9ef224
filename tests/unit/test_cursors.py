import pytest

from api.cursors import Cursors, origin_of
from api.parameters import TransactionListQuery, WalletListQuery
from api.secret_keys import SecretKeys
from projections.pages import Anchor
from schemas.ids import Owner

OLD, NEW = "o" * 32, "n" * 32
OWNER = Owner("mch_1", "live")
PATH = {"wallet_id": "wal_a"}
ANCHOR = Anchor(item_id="wal_a1b2c3", newer=True)


QUERY = WalletListQuery(status="active")


def origin(operation="listWallets", owner=OWNER, path=PATH, query=QUERY) -> bytes:
    return origin_of(operation, owner, path, query)


@pytest.fixture
def cursors() -> Cursors:
    return Cursors(SecretKeys((NEW,)))


@pytest.mark.parametrize("newer", [True, False])
@pytest.mark.parametrize("inclusive", [True, False])
def test_a_cursor_reads_back(cursors, newer, inclusive) -> None:
    anchor = Anchor(item_id="txn_" + "0" * 36, newer=newer, inclusive=inclusive)
    assert cursors.read(origin(), cursors.write(origin(), anchor)) == anchor


def test_every_change_of_one_letter_is_refused(cursors) -> None:
    text = cursors.write(origin(), ANCHOR)
    for place, letter in enumerate(text):
        for other in ("A", "B", "_", "=", "\n", "é", ""):
            if other != letter:
                with pytest.raises(ValueError, match=r"cursor|base64|as we write"):
                    cursors.read(origin(), text[:place] + other + text[place + 1 :])


def test_what_is_cut_or_added_to_is_refused(cursors) -> None:
    text = cursors.write(origin(), ANCHOR)
    wrong = [text[:length] for length in range(len(text))]
    wrong += [text + end for end in ("A", "AAAA", "=", "==", " ")] + ["A" * 10_000]
    for each in wrong:
        with pytest.raises(ValueError, match=r"cursor|base64|as we write"):
            cursors.read(origin(), each)


@pytest.mark.parametrize(
    "elsewhere",
    [
        origin(operation="listTopups"),
        origin(owner=Owner("mch_2", "live")),
        origin(owner=Owner("mch_1", "sandbox")),
        origin(path={"wallet_id": "wal_b"}),
        origin(query=WalletListQuery()),
        origin(query=WalletListQuery(status="closed")),
        origin(query=WalletListQuery(status="active", currency="GHS")),
        origin(query=TransactionListQuery(type="debit")),
    ],
)
def test_a_cursor_is_good_for_its_own_list_alone(cursors, elsewhere) -> None:
    text = cursors.write(origin(), ANCHOR)
    with pytest.raises(ValueError, match="not for this list"):
        cursors.read(elsewhere, text)


def test_the_limit_and_what_to_wait_for_may_change(cursors) -> None:
    text = cursors.write(origin(), ANCHOR)
    later = WalletListQuery(status="active", limit=7, wait_for="0:1", cursor=text)
    assert cursors.read(origin(query=later), text) == ANCHOR


def test_cursors_outlive_a_rotation_of_the_secret_keys() -> None:
    before = Cursors(SecretKeys((OLD,)))
    during = Cursors(SecretKeys((NEW, OLD)))
    after = Cursors(SecretKeys((NEW,)))
    old, new = before.write(origin(), ANCHOR), during.write(origin(), ANCHOR)
    assert during.read(origin(), old) == ANCHOR
    assert after.read(origin(), new) == ANCHOR
    with pytest.raises(ValueError, match="not written here"):
        after.read(origin(), old)

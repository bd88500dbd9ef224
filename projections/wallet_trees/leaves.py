"""What a leaf says of a wallet."""

from typing import NamedTuple

import msgspec

from engine.merkle import leaf_hash


class WalletLeaf(NamedTuple):
    """How far one wallet had come: the version of its last event, and how many entries it has.

    The version is 0 where every entry is a rejection. Rejections have no version, so only the
    number of entries tells whether one is missing.
    """

    wallet_id: str
    version: int
    entries: int

    def data(self) -> bytes:
        """The leaf's bytes: a JSON array of the three without spaces, `["wal_a1b2c3",17,21]`."""
        return msgspec.json.encode(self)

    def hash(self) -> bytes:
        """The leaf's hash, RFC 6962."""
        return leaf_hash(self.data())

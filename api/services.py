"""Services: what handlers do their work with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from api.access.admission import Admission
from api.errands import Errands
from api.gateway import Gateway
from api.reads import Reads
from api.secret_keys import SecretKeys
from api.wallets.ownership import WalletOwners
from engine.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Services:
    """One of each for the process.

    `rows` is a pool for the API's own tables, to read and write. `public_url` is what callers reach
    the API under, without a slash at its end.
    """

    settings: Settings
    secret_keys: SecretKeys
    admission: Admission
    clock: Callable[[], datetime]
    reads: Reads
    rows: asyncpg.Pool
    gateway: Gateway
    errands: Errands
    wallet_owners: WalletOwners
    public_url: str

"""The read models as a plain reading of the log has them, entry by entry, sums checked on the way."""

from typing import Any

_TYPES = {
    "topped_up": ("topup", "topups"),
    "debited": ("debit", "usage"),
    "credited": ("credit", "credits"),
    "expired": ("expiry", "expired"),
    "written_off": ("write_off", "written_off"),
}
_STATUS = {"frozen": "frozen", "unfrozen": "active", "closed": "closed"}
Row = dict[str, Any]


class WrongSumError(ValueError):
    """An entry's numbers do not add up with those before it."""


class ReplayedShard:
    """Rows of each model, by their primary keys; times in microseconds."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.wallets: dict[str, Row] = {}
        self.transactions: dict[tuple[int, int], Row] = {}
        self.lots: dict[tuple[int, str, int], Row] = {}
        self.postings: dict[tuple[int, int, int], Row] = {}
        self._of_wallet: dict[str, dict[int, int]] = {}

    def apply(self, entry: dict[str, Any]) -> None:
        """Take in the next entry; raises WrongSumError."""
        event = entry["event"]
        if entry["version"] is None:
            return
        if event["type"] == "wallet_created":
            self._open(entry)
            return
        wallet = self.wallets[entry["wallet_id"]]
        if entry["version"] != wallet["version"] + 1:
            raise WrongSumError(f"version {entry['version']} comes after {wallet['version']}")
        wallet |= {"version": entry["version"], "updated_at": entry["occurred_at"]}
        if event["type"] in _STATUS:
            wallet["status"] = _STATUS[event["type"]]
        else:
            self._move(entry, event, wallet)

    def _open(self, entry: dict[str, Any]) -> None:
        event, at = entry["event"], entry["occurred_at"]
        names = ("merchant_id", "environment", "customer_id", "currency", "metadata")
        self._of_wallet[entry["wallet_id"]] = {}
        self.wallets[entry["wallet_id"]] = {
            "wallet_id": entry["wallet_id"],
            "shard": self.shard,
            **{name: event[name] for name in names},
            "status": "active",
            "balance": 0,
            "version": entry["version"],
            "created_at": at,
            "updated_at": at,
        }

    def _move(self, entry: dict[str, Any], event: dict[str, Any], wallet: Row) -> None:
        kind = event["type"]
        sign = 1 if kind in {"topped_up", "credited"} else -1
        before, after = event["balance_before"], event["balance_after"]
        if before != wallet["balance"] or after != before + sign * event["amount"] or after < 0:
            raise WrongSumError(f"{before} becomes {after} by {event}, after {wallet['balance']}")
        wallet["balance"] = after
        for part in self._parts(event):
            self._change_lot(entry, part["lot"], sign * part["amount"])
        held = sum(self._of_wallet[entry["wallet_id"]].values())
        if held != after:
            raise WrongSumError(f"the lots of {entry['wallet_id']} hold {held}, not {after}")
        self._record(entry, event, sign * event["amount"])

    @staticmethod
    def _parts(event: dict[str, Any]) -> list[dict[str, int]]:
        if "lots" in event:
            return [*event["lots"], {"lot": 0, "amount": event.get("overdrawn", 0)}]
        settled = event.get("settled", 0)
        return [
            {"lot": event["lot"], "amount": event["amount"] - settled},
            {"lot": 0, "amount": settled},
        ]

    def _change_lot(self, entry: dict[str, Any], lot: int, change: int) -> None:
        if not change:
            return
        event, wallet_id = entry["event"], entry["wallet_id"]
        held = self._of_wallet[wallet_id]
        key = self.shard, wallet_id, lot
        if lot not in held:
            self.lots[key] = {
                "expires_at": event.get("expires_at"),
                "priority": event.get("priority", 100),
            }
        held[lot] = held.get(lot, 0) + change
        if held[lot] < 0 < lot:
            raise WrongSumError(f"lot {lot} of {wallet_id} holds {held[lot]} after {event}")
        self.lots[key]["remaining"] = held[lot]
        if not held[lot]:
            del held[lot], self.lots[key]

    def _record(self, entry: dict[str, Any], event: dict[str, Any], change: int) -> None:
        kind, account = _TYPES[event["type"]]
        position = entry["position"]
        names = ("amount", "currency", "balance_before", "balance_after")
        self.transactions[self.shard, position] = {
            "wallet_id": entry["wallet_id"],
            "merchant_id": entry["merchant_id"],
            "environment": entry["environment"],
            "command_id": bytes.fromhex(entry["command_id"]),
            "type": kind,
            **{name: event[name] for name in names},
            "reference": event.get("reference"),
            "description": event.get("description", ""),
            "metadata": event.get("metadata", {}),
            "created_at": entry["occurred_at"],
            "expires_at": event.get("expires_at"),
        }
        owner = f"{entry['merchant_id']}:{entry['environment']}"
        lines = ((f"wallet:{entry['wallet_id']}", change), (f"{account}:{owner}", -change))
        for line, (name, amount) in enumerate(lines):
            self.postings[self.shard, position, line] = {
                "account": name,
                "currency": event["currency"],
                "amount": amount,
            }

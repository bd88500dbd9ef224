"""The coordinator of a consumer group, as the broker keeps it: members, generations, offsets.

Eager: a change of members revokes everything of everybody, and hands it out anew.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import (
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class Scheduling(Protocol):
    """As much of an event loop as a coordinator needs."""

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Any: ...

    def create_future(self) -> "asyncio.Future[Any]": ...


class Member:
    """A member as the coordinator knows it."""

    def __init__(self, member_id: str, session_s: float) -> None:
        self.id = member_id
        self.session_s = session_s
        self.expires: Any = None
        self.joining: asyncio.Future[None] | None = None
        self.assigned: list[TopicPartition] = []


class Group:
    """One group. Its own doings run in the broker's context, whoever asked for them."""

    def __init__(
        self,
        loop: Scheduling,
        partitions: Callable[[], list[TopicPartition]],
        draw: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._partitions = partitions
        self._draw = draw
        self._members: dict[str, Member] = {}
        self._joined = 0
        self._deadline: Any = None
        self.generation = 0
        self.rebalancing = False
        self.offsets: dict[TopicPartition, int] = {}

    def lose_offsets(self) -> None:
        self.offsets.clear()

    def join(self, member_id: str, session_s: float) -> Member:
        """Enter, or enter again; the member's `joining` is done once it has its partitions."""
        member = self._members.get(member_id)
        if member is None:
            self._joined += 1
            member_id = f"{int(self._draw() * 0xFFFF):04x}-{self._joined}"
            member = self._members[member_id] = Member(member_id, session_s)
        if member.joining is None:
            member.joining = self._loop.create_future()
        self._stop_expiry(member)
        self._rebalance()
        self._complete_when_all_are_here()
        return member

    def leave(self, member_id: str) -> None:
        member = self._members.pop(member_id, None)
        if member is not None:
            self._stop_expiry(member)
            self._rebalance()
            self._complete_when_all_are_here()

    def heartbeat(self, member_id: str, generation: int) -> None:
        """Raises what the broker answers, unless all is well."""
        member = self._members.get(member_id)
        if member is None:
            raise UnknownMemberIdError
        if generation != self.generation:
            raise IllegalGenerationError
        if member.joining is None:
            self._expire_later(member)
        if self.rebalancing:
            raise RebalanceInProgressError

    def commit(self, member_id: str, generation: int, offsets: dict[TopicPartition, int]) -> None:
        """Raises what the broker answers to who is no member of this generation."""
        member = self._members.get(member_id)
        if member is None:
            raise UnknownMemberIdError
        if generation != self.generation:
            raise IllegalGenerationError
        if member.joining is None:
            self._expire_later(member)
        self.offsets.update(offsets)

    def _rebalance(self) -> None:
        if self.rebalancing:
            return
        self.rebalancing = True
        longest = max((member.session_s for member in self._members.values()), default=0.0)
        self._deadline = self._loop.call_later(longest, self._complete)

    def _complete_when_all_are_here(self) -> None:
        if all(member.joining is not None for member in self._members.values()):
            self._complete()

    def _complete(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        for member in list(self._members.values()):
            if member.joining is None:
                self._stop_expiry(member)
                del self._members[member.id]
        self.rebalancing = False
        self.generation += 1
        members = [self._members[member_id] for member_id in sorted(self._members)]
        for member in members:
            member.assigned = []
        if members:
            for number, place in enumerate(self._partitions()):
                members[number % len(members)].assigned.append(place)
        for member in members:
            joining, member.joining = member.joining, None
            self._expire_later(member)
            if joining is not None and not joining.done():
                joining.set_result(None)

    def _expire_later(self, member: Member) -> None:
        self._stop_expiry(member)
        member.expires = self._loop.call_later(member.session_s, self.leave, member.id)

    @staticmethod
    def _stop_expiry(member: Member) -> None:
        if member.expires is not None:
            member.expires.cancel()

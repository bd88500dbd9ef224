"""One go of the benchmark: the stack, its runs, and what figures and runs share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

from bench.site import Site, site
from bench.sizes import Sizes
from cli.stack import Stack

T = TypeVar("T")
Say = Callable[[str], None]


class _Once:
    """Keeps what each function gave; one that failed is asked again."""

    def __init__(self) -> None:
        self._made: dict[object, Any] = {}

    async def result(self, make: Callable[..., Awaitable[T]], argument: object) -> T:
        if make not in self._made:
            self._made[make] = await make(argument)
        result: T = self._made[make]
        return result


class Bench:
    """What all runs share. `say` tells the reader what takes its time now."""

    def __init__(self, stack: Stack, sizes: Sizes, say: Say, resources: AsyncExitStack) -> None:
        self.stack = stack
        self.sizes = sizes
        self.say = say
        self._resources = resources
        self._once = _Once()

    @classmethod
    @asynccontextmanager
    async def started(cls, sizes: Sizes, say: Say) -> AsyncIterator[Self]:
        """On a stack of its own, which is gone at the end."""
        with TemporaryDirectory(prefix="wallet-bench-") as directory:
            stack = Stack(Path(directory))
            await stack.start(say)
            try:
                async with AsyncExitStack() as resources:
                    yield cls(stack, sizes, say, resources)
            finally:
                await stack.stop()

    def site(self, name: str, *, partitions: int = 4) -> AbstractAsyncContextManager[Site]:
        """Database and topics of their own, until the block ends."""
        return site(self.stack, name, partitions=partitions)

    async def keep_site(self, name: str, *, partitions: int = 4) -> Site:
        """As `site`, until the benchmark ends."""
        return await self._resources.enter_async_context(self.site(name, partitions=partitions))

    async def prepared(self, make: "Callable[[Bench], Awaitable[T]]") -> T:
        """What `make` gives, made once: what is costly, and no run changes the meaning of."""
        return await self._once.result(make, self)


class Run:
    """One of several, in which every figure is measured once. `number` counts from 0."""

    def __init__(self, bench: Bench, number: int) -> None:
        self.bench = bench
        self.number = number
        self.stack = bench.stack
        self.sizes = bench.sizes
        self.say = bench.say
        self._once = _Once()

    def site(self, name: str, *, partitions: int = 4) -> AbstractAsyncContextManager[Site]:
        """Database and topics of their own, until the block ends."""
        return self.bench.site(f"{name}-{self.number}", partitions=partitions)

    async def shared(self, measure: "Callable[[Run], Awaitable[T]]") -> T:
        """What `measure` gives, measured once in this run, for figures that are compared with it."""
        return await self._once.result(measure, self)

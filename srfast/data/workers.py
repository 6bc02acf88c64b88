"""An ordered map over threads, bounded in items and in bytes of decoded images."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from srfast.data.limits import of_environment
from srfast.settings import whole

Item = TypeVar("Item")
Result = TypeVar("Result")

BUDGET = 384 << 20
BUDGET_OF_WORKER = 48 << 20
"""Bytes that the images of one map may take at once for each worker, decoded or being decoded. All workers together
have at least ``BUDGET``, and a single image may exceed it. The environment variable SRFAST_DECODE_MB (MiB) sets another
number for all workers together. A PNG file of 2040 x 1404 takes 20 MiB and the size of the file while it is decoded,
and 8 MiB then."""

_current = threading.local()


def claim(count: int) -> None:
    """Waits until ``count`` bytes fit into the budget; a decoder calls it before it takes them.

    Outside a task of ``ordered_map`` it returns at once.
    """
    share: _Share | None = getattr(_current, "share", None)
    if share is not None:
        share.grow(count)


@contextmanager
def decoding() -> Iterator[Callable[[int], None]]:
    """While the body runs, the bytes that it claims count; afterwards, only the bytes of the result do."""
    share: _Share | None = getattr(_current, "share", None)
    before, kept = (share.bytes if share is not None else 0), 0

    def keep(count: int) -> None:
        nonlocal kept
        kept = count

    try:
        yield keep
    finally:
        if share is not None:
            share.settle(before + kept)


class Budget:
    """The bytes of all tasks of one map, or of tasks that begin whenever they like, as those of a server do.

    The first task that is not yet consumed gets whatever it asks for, and the others what fits. So no task waits for
    one behind it, and no more is in flight than the limit and one image. None takes what ``ordered_map`` allows one
    thread.
    """

    def __init__(self, limit: int | None = None, workers: int = 1) -> None:
        most = max(BUDGET, workers * BUDGET_OF_WORKER)
        self.limit = of_environment("SRFAST_DECODE_MB", whole(), most, 1 << 20) if limit is None else limit
        self.changed = threading.Condition()
        self.shares: deque[_Share] = deque()
        self.used = 0
        """The bytes of all shares."""
        self.closed = False

    def open(self) -> _Share:
        share = _Share(self)
        with self.changed:
            self.shares.append(share)
        return share

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    @contextmanager
    def task(self) -> Iterator[None]:
        """While the body runs, what it decodes counts, until its end."""
        share = _current.share = self.open()
        try:
            yield
        finally:
            _current.share = None
            share.release()


class _Share:
    """The bytes of one task: what it claimed while it runs, and what its result takes until that is consumed."""

    def __init__(self, account: Budget) -> None:
        self.account = account
        self.bytes = 0

    def grow(self, count: int) -> None:
        account = self.account
        with account.changed:
            account.changed.wait_for(
                lambda: account.closed or account.shares[0] is self or account.used + count <= account.limit
            )
            if account.closed:
                raise CancelledError
            self.bytes += count
            account.used += count

    def settle(self, count: int) -> None:
        with self.account.changed:
            self.account.used += count - self.bytes
            self.bytes = count
            self.account.changed.notify_all()

    def release(self) -> None:
        with self.account.changed:
            self.account.shares.remove(self)
            self.settle(0)


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, *, budget: int | None = None
) -> Generator[tuple[Item, Result], None, None]:
    """Yields (item, function(item)) in the order of ``items``, computed on ``workers`` threads.

    At most 2 * workers items are in flight, and their images take at most ``budget`` bytes (None: ``BUDGET_OF_WORKER``
    for each worker) and one image more: a decoder works inside ``decoding`` and calls ``claim``, and results that are
    arrays count until the next item is requested. So memory does not grow with the number of items. The first exception
    is raised in its item's place; closing the generator waits for running calls and drops the rest.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="srfast")
    queue: deque[tuple[Item, _Share, Future[Result]]] = deque()
    ahead = iter(items)
    account = Budget(budget, workers)

    def task(item: Item, share: _Share) -> Result:
        _current.share = share
        size = 0
        try:
            result = function(item)
            size = _bytes(result)
            return result
        finally:
            _current.share = None
            share.settle(size)

    def fill() -> None:
        for item in islice(ahead, 2 * workers - len(queue)):
            share = account.open()
            queue.append((item, share, pool.submit(task, item, share)))

    try:
        fill()
        while queue:
            item, share, future = queue.popleft()
            result = future.result()
            fill()
            yield item, result
            del result, future
            share.release()
    finally:
        account.close()
        pool.shutdown(wait=True, cancel_futures=True)


def _bytes(result: Any) -> int:
    """The bytes of the arrays of a result."""
    if isinstance(result, (tuple, list)):
        return sum(_bytes(r) for r in result)
    return int(getattr(result, "nbytes", 0))

"""An ordered map over threads, bounded in items and in bytes of decoded images."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from srfast.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

BUDGET = 384 << 20
"""Bytes that the decoded images of one map take at once, unless a single image takes more by itself; the environment
variable SRFAST_DECODE_MB (MiB) sets another."""

_current = threading.local()


def claim(count: int) -> None:
    """Called by what decodes an image, before it takes ``count`` bytes: waits until they fit into the budget.

    Only inside a task of ``ordered_map`` is there anything to wait for.
    """
    share: _Share | None = getattr(_current, "share", None)
    if share is not None:
        share.grow(count)


class _Account:
    """The bytes of all tasks of one map.

    The first task that is not yet consumed gets whatever it asks for, the others what fits: so none waits for a task
    behind it, and no more is in flight than the budget and one image.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.changed = threading.Condition()
        self.shares: deque[_Share] = deque()
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


class _Share:
    """The bytes of one task: what it claimed while it runs, what its result takes until that is consumed."""

    def __init__(self, account: _Account) -> None:
        self.account = account
        self.bytes = 0

    def grow(self, count: int) -> None:
        account = self.account
        with account.changed:
            account.changed.wait_for(
                lambda: (
                    account.closed
                    or account.shares[0] is self
                    or sum(s.bytes for s in account.shares) + count <= account.limit
                )
            )
            if account.closed:
                raise CancelledError
            self.bytes += count

    def settle(self, count: int) -> None:
        with self.account.changed:
            self.bytes = count
            self.account.changed.notify_all()

    def release(self) -> None:
        with self.account.changed:
            self.account.shares.remove(self)
            self.account.changed.notify_all()


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, *, budget: int | None = None
) -> Generator[tuple[Item, Result], None, None]:
    """(item, function(item)) in the order of ``items``, computed on ``workers`` threads.

    At most 2 * workers items are in flight, and of decoded images no more than ``budget`` bytes (None: ``BUDGET``) and
    one image: what decodes calls ``claim``, and results that are arrays count until the next item is asked for. So
    memory grows neither with the number of items nor with that of cores. The first exception is raised in its item's
    place; closing the generator waits for running calls and drops the rest.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="srfast")
    queue: deque[tuple[Item, _Share, Future[Result]]] = deque()
    ahead = iter(items)
    account = _Account(_budget() if budget is None else budget)

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
        while len(queue) < 2 * workers:
            try:
                item = next(ahead)
            except StopIteration:
                return
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


def _budget() -> int:
    asked = os.environ.get("SRFAST_DECODE_MB", "")
    if asked and not (asked.isascii() and asked.isdigit()):
        raise InputError(f"SRFAST_DECODE_MB: expected MiB as an integer, got {asked!r}")
    return int(asked) << 20 if asked else BUDGET


def _bytes(result: Any) -> int:
    """What the arrays of a result take."""
    if isinstance(result, (tuple, list)):
        return sum(_bytes(r) for r in result)
    return int(getattr(result, "nbytes", 0))

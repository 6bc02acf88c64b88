"""An ordered, bounded map over threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """(item, function(item)) in the order of ``items``, computed on ``workers`` threads.

    At most 2 * workers items are in flight, so memory does not grow with their number. The first exception is raised in
    its item's place; closing the generator waits for running calls and drops the rest.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="srfast")
    queue: deque[tuple[Item, Future[Result]]] = deque()
    ahead = iter(items)

    def fill() -> None:
        while len(queue) < 2 * workers:
            try:
                item = next(ahead)
            except StopIteration:
                return
            queue.append((item, pool.submit(function, item)))

    try:
        fill()
        while queue:
            item, task = queue.popleft()
            result = task.result()
            fill()
            yield item, result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

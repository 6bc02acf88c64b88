"""An ordered, bounded map over threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    *,
    weigh: Callable[[Item], int] | None = None,
    budget: int = 0,
) -> Generator[tuple[Item, Result], None, None]:
    """(item, function(item)) in the order of ``items``, computed on ``workers`` threads.

    At most 2 * workers items are in flight, so memory does not grow with their number. The first exception is raised in
    its item's place; closing the generator waits for running calls and drops the rest.

    Args:
        function, items, workers: As above.
        weigh: The weight of an item, such as its bytes; no item is started beside others when their weights would
            then sum to more than ``budget``.
        budget: See ``weigh``.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="srfast")
    queue: deque[tuple[Item, Future[Result], int]] = deque()
    waiting: deque[tuple[Item, int]] = deque()
    ahead = iter(items)

    def fill() -> None:
        while len(queue) < 2 * workers:
            if not waiting:
                try:
                    item = next(ahead)
                except StopIteration:
                    return
                waiting.append((item, weigh(item) if weigh else 0))
            item, weight = waiting[0]
            if queue and weight + sum(w for _, _, w in queue) > budget and weigh:
                return
            waiting.popleft()
            queue.append((item, pool.submit(function, item), weight))

    try:
        fill()
        while queue:
            item, task, _ = queue.popleft()
            result = task.result()
            del task
            fill()
            yield item, result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

"""Calls side by side: most of a call's time is waiting for its answer."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


class Pool:
    """Runs up to `threads` calls side by side. With 1 it runs them one after the other, in the caller's thread."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def map(self, function: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
        """Call `function` with each item; returns the answers in the order of the items.

        Raises what the first failing call raised, after all of them have ended.
        """
        if self._threads == 1:
            return [function(item) for item in items]
        futures = [_executor(self._threads).submit(function, item) for item in items]
        wait(futures)
        return [future.result() for future in futures]


@lru_cache(maxsize=4)
def _executor(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=threads, thread_name_prefix="pool")

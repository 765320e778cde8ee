"""Processes that end with the one that started them, and work spread over several of them."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Let the kernel end this process when its parent ends (Linux), so that no orphan writes later."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        sys.exit(1)


@contextmanager
def process_pool(num_processes: int, set_up: Callable[..., None], *arguments: object) -> Iterator[ProcessPoolExecutor]:
    """Fresh interpreters, each of which has called `set_up(*arguments)`; they end with this process, however it ends.

    Nothing is inherited by forking: libraries with threads of their own do not survive it.
    """
    with ProcessPoolExecutor(
        num_processes, multiprocessing.get_context("spawn"), _begin, (os.getpid(), set_up, arguments)
    ) as pool:
        # started here and now: the kernel watches the thread that starts a process, and this one stays
        for _ in range(num_processes):
            pool.submit(os.getpid)
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(parent: int, set_up: Callable[..., None], arguments: tuple[object, ...]) -> None:
    die_with_parent(parent)
    set_up(*arguments)

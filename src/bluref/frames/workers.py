"""A pool of threads for independent items, each of which computes on one core."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def one_core_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool whose workers fill the machine together, instead of each asking for all of it.

    Torch's own threads wait for one another in every operation: where somebody else is at work
    too, each of these waits takes several times as long as the operation.

    Args:
        workers: number of threads, at least 1.
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)  # what threads that are still to come begin with

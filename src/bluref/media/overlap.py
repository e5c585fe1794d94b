"""Three things at once, in order: what is read ahead, what is worked on, what is written behind.

Threads that wait for each other over short queues: each may be a few items ahead, so that memory is
bounded and the slowest of them sets the pace. An error in any of them ends all, and is raised where
the work is done.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_PATIENCE = 0.1  # s between looks at whether all is to end


@contextmanager
def read_ahead(items: Generator[Item, None, None], ahead: int) -> Iterator[Iterator[Item]]:
    """Lend `items`, made in a thread of their own; the generator is closed at the end of the block.

    Args:
        items: made one by one in another thread.
        ahead: how many may wait; one more is being made.
    """
    lane: _Lane[Item] = _Lane(ahead)

    def make() -> None:
        with suppress(_Closed):
            for item in items:
                lane.put(item)

    try:
        with _running(make, lane):
            try:
                yield lane.items()
            finally:
                lane.break_off()
    finally:  # the thread has ended, however the block did
        items.close()


@contextmanager
def write_behind(
    consume: Callable[[Iterator[Item]], None], behind: int
) -> Iterator[Callable[[Item], None]]:
    """Lend a function that hands items to `consume`, which runs in a thread of its own.

    When the block ends well, what was handed over is still consumed; when it raises, a `Cut` is
    raised in `consume` at its next item.

    Args:
        consume: takes all items, in order.
        behind: how many may wait; one more is being consumed.
    """
    lane: _Lane[Item] = _Lane(behind)

    def take() -> None:
        with suppress(Cut):
            consume(lane.items())

    with _running(take, lane):
        yield lane.put
        lane.finish()


class Cut(Exception):  # noqa: N818 - no error: it unwinds a consumer whose items are not all coming
    """There are no more items, though there should be."""


class _Closed(Exception):  # noqa: N818
    """Nobody waits for more."""


class _Lane(Generic[Item]):
    """A short queue with an end; both sides find out when the other has gone."""

    def __init__(self, length: int) -> None:
        self._queue: queue.Queue[Item | None] = queue.Queue(length)  # None wakes who waits
        self._finished = threading.Event()
        self._broken = threading.Event()
        self.done = threading.Event()
        self.error: BaseException | None = None

    def put(self, item: Item) -> None:
        """Wait for a place; `_Closed`, or the other side's error, if there never will be one."""
        while True:
            if self._broken.is_set() or self.done.is_set():
                raise self.error or _Closed()
            with suppress(queue.Full):
                return self._queue.put(item, timeout=_PATIENCE)

    def items(self) -> Iterator[Item]:
        """What is put, until the end."""
        while True:
            if self._broken.is_set():
                raise Cut
            if (self._finished.is_set() or self.done.is_set()) and self._queue.empty():
                if self.error is not None:
                    raise self.error
                return
            try:
                item = self._queue.get(timeout=_PATIENCE)
            except queue.Empty:
                continue
            if item is not None:
                yield item

    def finish(self) -> None:
        """No more will be put."""
        self._finished.set()
        self._wake()

    def end(self) -> None:
        """The other side has gone."""
        self.done.set()
        self._wake()

    def _wake(self) -> None:
        with suppress(queue.Full):  # then nobody waits
            self._queue.put_nowait(None)

    def break_off(self) -> None:
        """Whatever waits is not wanted any more."""
        self._broken.set()


@contextmanager
def _running(work: Callable[[], None], lane: _Lane[Item]) -> Iterator[None]:
    """Run `work` in a thread while the block lasts, and wait for it; its error is raised here."""

    def run() -> None:
        try:
            work()
        except BaseException as error:  # raised again where the work is done
            lane.error = error
        finally:
            lane.end()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        lane.break_off()
        raise
    finally:
        thread.join()
    if lane.error is not None:
        raise lane.error

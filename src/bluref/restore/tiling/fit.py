"""Tiles for which there is room, beside what an engine keeps of pictures before."""

from contextlib import suppress
from weakref import WeakKeyDictionary

from bluref.restore.deblurrer import Deblurrer
from bluref.restore.tiling.memory import resident
from bluref.restore.tiling.plan import Plan, Task, TooLittleMemory, plan_tiles

# Tiles are kept from picture to picture until there is room for ones of so many times their need.
_WORTH = 2

_LAST: "WeakKeyDictionary[Deblurrer, tuple[tuple[int, ...], Plan]]" = WeakKeyDictionary()


def fitted(deblurrer: Deblurrer, task: Task, budget: int) -> Plan:
    """Tiles that fit, with an engine that forgets plans of earlier sizes where they are in the way.

    Pictures of one size, one after the other, get the same tiles as long as these fit: tiles of a
    few pixels more or less would cost an engine that keeps plans seconds for each picture.

    Args:
        deblurrer: runs the tiles.
        task: the picture and the network.
        budget: bytes that this process may hold.

    Raises:
        TooLittleMemory: not even the smallest tiles fit.
    """
    room, held = budget - resident(), deblurrer.held
    size = (task.height, task.width, task.planes, task.layers)
    plan = None
    if held:
        before, last = _LAST.get(deblurrer, ((), None))
        if last is not None and before == size and _suits(last, room + held):
            return last
        with suppress(TooLittleMemory):
            plan = plan_tiles(task, room)
        if plan is None or plan.count > 1:
            deblurrer.forget()
            plan, room = None, budget - resident()
    plan = plan or plan_tiles(task, room)
    _LAST[deblurrer] = size, plan
    return plan


def _suits(plan: Plan, room: int) -> bool:
    """Whether tiles fit, and are no smaller than they need be."""
    return plan.need <= room and (plan.count == 1 or room < _WORTH * plan.need)

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.restore.tiling.plan import Task, TooLittleMemory, plan_tiles
from bluref.restore.tiling.spans import even_spans

MIB = 2**20


def task(height, width, *, per_pixel=500, planes=1, layers=3, multiple=16, margin=96):
    return Task(height, width, planes, layers, multiple, margin, lambda n: n * per_pixel)


sides = st.integers(1, 30_000)


@pytest.mark.slow
@settings(max_examples=80, deadline=None, database=None)
@given(sides, sides, st.sampled_from([40, 150, 600, 2500]), st.sampled_from([100, 2000, 9000]))
def test_what_is_planned_fits_and_covers_the_picture(height, width, room, per_pixel):
    whole = task(height, width, per_pixel=per_pixel)
    least = whole.bytes(min(128, height), min(128, width))
    if least > room * MIB:
        with pytest.raises(TooLittleMemory) as caught:
            plan_tiles(whole, room * MIB)
        assert room * MIB + caught.value.missing == least
    room = max(room * MIB, least)
    plan = plan_tiles(whole, room)
    assert plan.need <= room
    down = even_spans(height, plan.height, plan.down, 16)
    across = even_spans(width, plan.width, plan.across, 16)
    assert len(down) * len(across) == plan.count
    assert max(s.stop - s.start for s in down) <= plan.height
    assert max(s.stop - s.start for s in across) <= plan.width


def test_a_picture_that_fits_is_one_tile():
    plan = plan_tiles(task(997, 1501), 2000 * MIB)
    assert (plan.count, plan.height, plan.width) == (1, 997, 1501)


def test_more_memory_is_never_more_work():
    work = [plan_tiles(task(4000, 6000), room * MIB) for room in (150, 300, 600, 1200, 2400)]
    lacking = [p.work * (96 / p.down.margin) * (96 / p.across.margin) for p in work]
    assert lacking == sorted(lacking, reverse=True)
    assert work[-1].down.margin == work[-1].across.margin == 96
    assert work[-1].work < 1.5 * 4000 * 6000


def test_tiles_are_no_slivers():
    plan = plan_tiles(task(4000, 6000), 600 * MIB)
    assert 0.4 < plan.height / plan.width < 2.5


def test_a_picture_of_65535_columns_fits_into_half_a_gigabyte():
    plan = plan_tiles(task(6000, 65535), 512 * MIB)
    assert plan.need <= 512 * MIB
    assert plan.down.margin >= 16


def test_tiles_that_do_not_work_are_halved_down_to_the_smallest():
    whole = task(1000, 3000)
    plan = plan_tiles(whole, 2000 * MIB)
    while plan.height * plan.width > 128 * 128:
        smaller = plan_tiles(whole, 2000 * MIB, too_large=plan)
        assert smaller.height <= plan.height
        assert smaller.height * smaller.width <= max(plan.height * plan.width / 2, 128 * 128)
        plan = smaller
    assert plan_tiles(whole, 2000 * MIB, too_large=plan) == plan


def test_planes_and_the_map_of_trust_are_counted():
    room = 400 * MIB
    sizes = [
        plan_tiles(task(8000, 8000, planes=p, layers=n), room)
        for p, n in ((1, 3), (1, 4), (2, 3), (2, 4))
    ]
    assert all(plan.need <= room for plan in sizes)
    one, trusted, two, both = (task(8000, 8000, planes=p, layers=n).bytes(512, 512)
                               for p, n in ((1, 3), (1, 4), (2, 3), (2, 4)))  # fmt: skip
    assert one < trusted < two < both

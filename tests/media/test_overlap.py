import threading
import time

import pytest

from bluref.media.overlap import Cut, read_ahead, write_behind


def counted(until, made=None):
    for i in range(until):
        if made is not None:
            made.append(i)
        yield i


def test_items_come_through_both_in_order():
    taken = []
    with write_behind(taken.extend, 2) as give, read_ahead(counted(50), 2) as items:
        for item in items:
            give(item * 2)
    assert taken == [2 * i for i in range(50)]


def test_reading_working_and_writing_happen_at_once():
    def slowly():
        for i in range(8):
            time.sleep(0.03)
            yield i

    def write(items):
        for _ in items:
            time.sleep(0.03)

    start = time.perf_counter()
    with write_behind(write, 1) as give, read_ahead(slowly(), 1) as items:
        for item in items:
            time.sleep(0.03)
            give(item)
    assert time.perf_counter() - start < 0.6 * 8 * 0.09


def test_no_more_is_made_than_has_room():
    made = []
    with read_ahead(counted(100, made), 2) as items:
        next(items)
        time.sleep(0.2)
        assert len(made) <= 5  # one given, two waiting, one on its way
    assert len(made) <= 5


def test_an_error_in_the_block_closes_the_maker():
    def make():
        try:
            yield from range(100)
        finally:
            closed.append(True)

    closed = []
    maker = make()  # kept here: what nobody holds is closed anyhow
    with pytest.raises(ZeroDivisionError), read_ahead(maker, 1) as items:
        next(items) / 0
    assert closed == [True]


def test_an_end_that_is_waited_for_is_seen_at_once():
    def make():
        yield 0
        time.sleep(0.01)

    start = time.perf_counter()
    for _ in range(10):
        with read_ahead(make(), 1) as items:
            assert list(items) == [0]
    assert time.perf_counter() - start < 0.5


def test_leaving_early_closes_the_maker():
    closed = threading.Event()

    def make():
        try:
            yield from range(100)
        finally:
            closed.set()

    with read_ahead(make(), 1) as items:
        assert next(items) == 0
    assert closed.is_set()


def test_an_error_of_the_maker_is_raised_after_what_it_made():
    def make():
        yield 1
        raise ValueError("made badly")

    seen = []
    with pytest.raises(ValueError, match="made badly"), read_ahead(make(), 1) as items:
        seen.extend(items)
    assert seen == [1]


def test_an_error_of_the_consumer_ends_the_work_soon():
    def consume(items):
        next(items)
        raise ValueError("consumed badly")

    given = []

    def work():
        with write_behind(consume, 1) as give:
            for i in range(1000):
                give(i)
                given.append(i)

    with pytest.raises(ValueError, match="consumed badly"):
        work()
    assert len(given) < 10


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_of_the_work_cuts_the_consumer(error):
    ends = []

    def consume(items):
        try:
            for _ in items:
                pass
        except Cut:
            ends.append("cut")
            raise
        ends.append("whole")

    def work():
        with write_behind(consume, 1) as give:
            give(1)
            raise error

    with pytest.raises(error):
        work()
    assert ends == ["cut"]


def test_all_that_was_given_is_consumed_before_the_end():
    taken = []

    def slowly(items):
        for item in items:
            time.sleep(0.01)
            taken.append(item)

    with write_behind(slowly, 5) as give:
        for i in range(9):
            give(i)
    assert taken == list(range(9))


def test_no_thread_is_left():
    before = threading.active_count()
    test_items_come_through_both_in_order()
    test_an_error_of_the_consumer_ends_the_work_soon()
    assert threading.active_count() == before

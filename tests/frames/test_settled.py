import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.frames.measured import Row
from bluref.frames.settled import OWN, settle


def row(index, changes=(), energy=0.0, focus=0.0):
    return Row(index, index / 25, None, (90, 160), 0.5, 0.2, energy, focus, 0.3, 1.0, 0.0, 1.0, 9.0,
               tuple(changes))  # fmt: skip


def straightforward(rows, shots):
    """The same sum of squares, as one dense system."""
    count = len(rows)
    own = np.array([r.energy for r in rows])
    focus = np.array([r.focus for r in rows])
    for shot in set(shots):
        here = np.array(shots) == shot
        own[here] += np.median(focus[here]) - np.median(own[here])
    lines = [np.eye(count)[i] * OWN**0.5 for i in range(count)]
    right = list((own + focus) / 2 * OWN**0.5)
    for i, r in enumerate(rows):
        for lag, change, trust in r.changes:
            if i >= lag and shots[i] == shots[i - lag]:
                lines.append((np.eye(count)[i] - np.eye(count)[i - lag]) * trust**0.5)
                right.append(change * trust**0.5)
    return np.linalg.lstsq(np.array(lines), np.array(right), rcond=None)[0]


@settings(max_examples=30, deadline=None, database=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 40), cut=st.integers(1, 40))
def test_it_is_the_least_sum_of_squares(seed, count, cut):
    rng = np.random.default_rng(seed)
    rows = [
        row(
            i,
            [(lag, rng.normal(), rng.uniform(0, 1)) for lag in (1, 2, 4, 8)],
            rng.normal(),
            rng.normal(),
        )
        for i in range(count)
    ]
    shots = [1 + (i >= cut) for i in range(count)]
    np.testing.assert_allclose(settle(rows, shots), straightforward(rows, shots), atol=1e-4)


def test_what_neighbours_say_wins_over_what_frames_say_of_themselves():
    # By themselves frames look ever richer, for so does the scene; of the same things every second
    # frame shows less.
    rows = [row(i, [(1, -1.0 if i % 2 else 1.0, 1.0)] if i else [], 0.1 * i) for i in range(20)]
    sharpness = settle(rows, [1] * 20)
    assert min(sharpness[::2]) > max(sharpness[1::2])


def test_no_frames_have_no_sharpness():
    assert settle([], []).shape == (0,)

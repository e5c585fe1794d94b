"""Workers share the machine, and leave it as they found it."""

import pytest
import torch

from bluref.frames.workers import one_core_each


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("fails", [False, True])
def test_each_worker_has_one_core_and_others_as_many_as_before(three_threads, fails):
    def work(_):
        if fails:
            raise ValueError
        return torch.get_num_threads()

    with one_core_each(2) as pool:
        if fails:
            with pytest.raises(ValueError):  # noqa: PT011 - raised above
                list(pool.map(work, range(4)))
        else:
            assert set(pool.map(work, range(4))) == {1}
    assert torch.get_num_threads() == 3
    with one_core_each(1):
        pass
    assert torch.get_num_threads() == 3

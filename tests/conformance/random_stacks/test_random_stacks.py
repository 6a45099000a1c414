"""The first cases of the long run: see the package. CI runs these, the command runs as many as are wanted."""

import pytest

from . import driver
from .cases import case, differences

SEED = 0
CASES = 160
SLICES = 8  # so that a failure does not hide those of other cases


@pytest.mark.parametrize("slice_", range(SLICES))
def test_random_exchanges_with_random_stacks_have_the_same_outcome(slice_: int) -> None:
    found = [str(each) for number in range(slice_, CASES, SLICES) for each in differences(case(SEED, number))]
    assert not found, "\n".join(found[:1])


def test_a_case_is_drawn_alike_every_time() -> None:
    assert case(SEED, 5) == case(SEED, 5)
    assert case(SEED, 5).source != case(SEED + 1, 5).source


def test_most_stacks_are_accepted_and_exchanges_get_to_every_kind_of_part() -> None:
    drawn = [case(SEED, number) for number in range(80)]
    runs = [driver.run("forzium", each.source, each.steps, each.backend) for each in drawn]
    log = [line for each in runs for outcome in each.outcomes for line in outcome.log]
    assert sum(not each.declared for each in runs) > 60
    for part in (
        " in http",
        " in websocket",
        " got 200",
        " handles ",
        " entered",
        " chunk 1",
        "accept: None",
        "task ",
        "l1 starts",
    ):
        assert any(part in line for line in log), part

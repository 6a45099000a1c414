"""The first cases of the long run: see the package. CI runs these, the command runs as many as are wanted."""

import pytest

from .cases import case, differences

SEED = 0
CASES = 600
SLICES = 12  # so that a failure does not hide those of other cases


@pytest.mark.parametrize("slice_", range(SLICES))
def test_random_requests_to_random_applications_have_the_same_outcome(slice_: int) -> None:
    found = [str(each) for number in range(slice_, CASES, SLICES) for each in differences(case(SEED, number))]
    assert not found, "\n".join(found[:1])


def test_a_case_is_drawn_alike_every_time() -> None:
    assert case(SEED, 5) == case(SEED, 5)
    assert case(SEED, 5).source != case(SEED + 1, 5).source


def test_most_applications_are_accepted_and_most_requests_reach_their_endpoint() -> None:
    from .driver import run

    drawn = [case(SEED, number) for number in range(60)]
    runs = [run("forzium", each.source, each.steps, each.backend) for each in drawn]
    outcomes = [outcome for each in runs for outcome in each.outcomes]
    assert sum(bool(each.outcomes) for each in runs) > 40
    assert sum(any("operation" in line for line in each.log) for each in outcomes) > len(outcomes) / 5
    assert {200, 401, 404, 422, 500} <= {each.status for each in outcomes}

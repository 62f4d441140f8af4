"""Steps of added tensors as whole multiples of one."""

from __future__ import annotations

import pytest

from edge_iqa.quantize.units import CONVOLUTION_MULTIPLES, SUM_MULTIPLES, Wanted, multiples_of_one


def test_what_stands_alone_has_the_step_it_should_have() -> None:
    unit, multiples = multiples_of_one([Wanted(0.0213, False)])
    assert unit * multiples[0] == pytest.approx(0.0213)


def test_steps_that_are_multiples_already_stay() -> None:
    steps = {0.01: False, 0.02: False, 0.010000001: True, 0.04: False, 0.03: True}
    unit, multiples = multiples_of_one([Wanted(*one) for one in steps.items()])
    assert [unit * many for many in multiples] == pytest.approx([*steps])
    assert multiples == [1, 2, 1, 4, 3]


def test_a_sum_never_lies_on_an_even_multiple_and_others_lie_on_powers_of_two() -> None:
    wanted = [Wanted(0.013 * 1.37**number, summed=number % 3 == 2) for number in range(9)]
    unit, multiples = multiples_of_one(wanted)
    for one, many in zip(wanted, multiples, strict=True):
        assert many in (SUM_MULTIPLES if one.summed else CONVOLUTION_MULTIPLES)
        assert 0.65 < unit * many / one.step < 1.55


def test_a_sum_is_left_unrounded_where_that_costs_little() -> None:
    near = [Wanted(0.01, False), Wanted(0.012, True)]
    assert multiples_of_one(near)[1] == [1, 1]
    far = [Wanted(0.01, False), Wanted(0.03, True)]
    assert multiples_of_one(far)[1][1] > 1

"""Channel counts a layer may have, and even splits of a sum, by hand."""

from __future__ import annotations

import pytest

from search_spaces.widths import even_split, width_options


def test_multiples_of_the_step_and_the_size_itself() -> None:
    assert width_options(16, step=4, least=4) == (4, 8, 12, 16)
    assert width_options(10, step=4, least=4) == (4, 8, 10)
    assert width_options(16, step=4, least=6) == (8, 12, 16)


def test_the_step_doubles_past_8_steps_and_again_past_32() -> None:
    assert width_options(48, step=4, least=24) == (24, 28, 32, 40, 48)
    assert width_options(160, step=4, least=112) == (112, 120, 128, 144, 160)
    assert width_options(6, step=1, least=1) == (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("size", [1, 4])
def test_a_narrow_layer_keeps_its_size(size: int) -> None:
    assert width_options(size, step=4, least=4) == (size,)


def test_a_sum_is_split_by_size_as_evenly_as_the_options_allow() -> None:
    options = [(4, 8, 12, 16), (4, 8, 12, 16, 20, 24, 28, 32)]
    assert even_split(24, [16, 32], options) == [8, 16]
    assert even_split(20, [16, 32], options) == [8, 12]  # shares are 6.7 and 13.3
    assert even_split(48, [16, 32], options) == [16, 32]
    assert even_split(8, [16, 32], options) == [4, 4]


def test_a_share_that_leaves_the_rest_without_a_choice_is_not_taken() -> None:
    options = [(4, 6), (4, 8, 10)]
    assert even_split(14, [6, 10], options) == [6, 8]  # shares are 5.25 and 8.75
    assert even_split(10, [6, 10], options) == [6, 4]  # 4 is nearer to the share of 3.75, but nothing has 6 to add
    assert even_split(9, [6, 10], options) is None

"""Channel counts a layer may have, and sums of them."""

from __future__ import annotations

from collections.abc import Sequence


def width_options(size: int, *, step: int, least: int) -> tuple[int, ...]:
    """Multiples of a step from `least` up to `size`, and `size` itself, ascending.

    The step doubles past 8 steps and again past 32, so that neighbours differ by at most an eighth there.
    A layer of no more than `least` channels keeps its size.
    """
    found = []
    width = -(-least // step) * step
    while width < size:
        found.append(width)
        grid = step if width < 8 * step else 2 * step if width < 32 * step else 4 * step
        width = (width // grid + 1) * grid
    return (*found, size)


def even_split(total: int, sizes: Sequence[int], options: Sequence[Sequence[int]]) -> list[int] | None:
    """One option of each with the given total, each as near to its share by size as the rest allows.

    The answer depends on the arguments alone. None if no choice of options has that total.
    """
    reachable = [1]  # bit s of entry k: the options from k on can sum to s
    for choices in reversed(options):
        bits = 0
        for option in choices:
            bits |= reachable[-1] << option
        reachable.append(bits)
    reachable.reverse()
    found = []
    for k, choices in enumerate(options):
        share = total * sizes[k] / sum(sizes[k:])
        fitting = [option for option in choices if option <= total and reachable[k + 1] >> (total - option) & 1]
        if not fitting:
            return None
        found.append(min(fitting, key=lambda option: (abs(option - share), option)))
        total -= found[-1]
    return found

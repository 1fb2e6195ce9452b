"""The report's section on what the run has to say against itself."""

from __future__ import annotations

from html import escape

from nas import wording
from nas.result import Audit, Point, RunResult


def trust(result: RunResult) -> str:
    """Rank correlation of the search's sign, gain over the ladder, and what choosing among several does to a drop."""
    audit = result.audit
    if audit is None:
        return ""
    lines = [_looks(audit), _gain(audit)]
    if (point := result.chosen_point) is not None and audit.optimism is not None:
        lines.append(_choice(audit, audit.optimism, point, result.limits.drop))
    if point is not None and point.seed_drops:
        lines.append(_seeds(point, result.limits.drop))
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    note = "All on final_val, intervals by resampling its rows. Another seed of the run would differ by more than that."
    return f"<h2>How far to trust the search</h2>\n<ul>{items}</ul>\n<p class='muted'>{note}</p>"


def _looks(audit: Audit) -> str:
    if audit.look_correlation is None:
        return f"{audit.finished} networks were both looked at untrained and finished: too few to say what looks tell."
    told = (
        f"Rank correlation between the untrained look that the search goes by and the finished int8 file's drop: "
        f"{wording.number(audit.look_correlation)} over {audit.finished} networks"
    )
    if audit.look_correlation_at_size is None:
        return f"{told}."
    return f"{told}, {wording.number(audit.look_correlation_at_size)} with size taken out."


def _gain(audit: Audit) -> str:
    ours, theirs, low, high = audit.search_volume, audit.ladder_volume, audit.gain_low, audit.gain_high
    if ours is None or theirs is None or low is None or high is None:
        return "Nothing found, or nothing of the ladder, was finished within the limits: there is no gain to speak of."
    told = (
        f"The found networks' hypervolume is {wording.number(ours, 3)}, the ladder's {wording.number(theirs, 3)}: "
        f"a gain of {wording.number(ours - theirs, 3)}, 95 % interval {wording.number(low, 3)} to "
        f"{wording.number(high, 3)}."
    )
    if low <= 0 <= high:
        return f"{told} The interval includes 0: this run does not show that its search beat the ladder."
    return f"{told} The ladder lost." if low > 0 else f"{told} The ladder won."


def _seeds(point: Point, limit: float | None) -> str:
    """What the chosen network's training owes to its seed."""
    told = (
        f"Trained with {len(point.seed_drops)} seeds, the chosen network loses {wording.number(point.seeds_mean)} ± "
        f"{wording.number(point.seeds_sd)} points (mean and standard deviation)"
    )
    if limit is not None:
        kept = sum(drop <= limit for drop in point.seed_drops)
        told += f", {kept} of them within the limit of {wording.number(limit)}"
    return f"{told}. The file is that of the search's own training, which its bound is of: the best was not picked."


def _choice(audit: Audit, optimism: float, point: Point, limit: float | None) -> str:
    """The winner's curse beside the paired bound."""
    told = (
        f"Choosing among {audit.choices} networks by these very images makes the chosen one's drop look "
        f"{wording.number(abs(optimism))} points {'better' if optimism >= 0 else 'worse'} than it is, by estimate"
    )
    bound = point.val_drop_upper95 + max(0.0, optimism)
    told += f"; its 95 % bound of {wording.number(point.val_drop_upper95)} then is {wording.number(bound)}"
    if limit is None:
        return f"{told}."
    return f"{told}, {'within' if bound <= limit else 'beyond'} the limit of {wording.number(limit)}."

"""Whether a model may serve: checks of numbers that others measured, and the verdict they make. No I/O.

Every check says what was found and what the limit is, and all that fail are listed.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from infra.lists import listed
from infra.settings import SettingsError
from models.bundle import Bundle
from models.canary import Answer, K
from models.evaluate import PRODUCT, RIVAL
from models.judging import CATEGORY, CATEGORY_MOMENTS, Evaluation
from models.metrics import Ratio

GUARDED = ("all", "warm", "cold")
"""Segments that may be guarded by name, besides CATEGORY + name of a category."""


class Check(NamedTuple):
    """One question and its answer; ``detail`` is a sentence with the numbers."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a version.

    Attributes:
        version: the challenger; champion: the version that served meanwhile.
        against: whom the challenger was compared with: the champion, or ``recent popularity``.
        checks: all that were made.
        ratios: by segment, NDCG@10 of the challenger over the champion's.
        numbers: other figures, by name.
    """

    version: str
    champion: str | None
    against: str
    checks: Sequence[Check]
    ratios: dict[str, Ratio] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def summary(self) -> str:
        """``passed``, or ``refused: `` and the details of every check that failed."""
        failed = [f"{check.name}: {check.detail}" for check in self.checks if not check.passed]
        return "refused: " + "; ".join(failed) if failed else "passed"

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values; what is infinite has no number."""
        return {
            "version": self.version,
            "champion": self.champion,
            "against": self.against,
            "passed": self.passed,
            "summary": self.summary,
            "checks": [check._asdict() for check in self.checks],
            "ratios": {
                name: {key: _plain(value) for key, value in ratio._asdict().items()}
                for name, ratio in self.ratios.items()
            },
            "numbers": {name: _plain(value) for name, value in self.numbers.items()},
        }

    def short_json(self) -> dict[str, Any]:
        """What fits a tag: the verdict, the ratio over all moments, the names of the failed checks, the figures."""
        ratio = self.ratios.get("all")
        return {
            "passed": self.passed,
            "against": self.against,
            "failed": [check.name for check in self.checks if not check.passed],
            "ndcg_ratio": [_plain(value) for value in ratio] if ratio else None,
            **{name: _plain(value) for name, value in self.numbers.items()},
        }


def guarded_segments(text: str, categories: Collection[str] | None = None) -> tuple[str, ...]:
    """The segments of setting ``gate_segments``, each once.

    Args:
        text: names, comma separated.
        categories: what the catalogue has; None: not known yet, any is taken.

    Raises:
        SettingsError: a name that is no segment.
    """
    names = tuple(dict.fromkeys(listed(text)))
    known = [*GUARDED, *(f"{CATEGORY}{name}" for name in categories or ())]
    for name in names:
        if name in GUARDED or (name.startswith(CATEGORY) and (categories is None or name in known)):
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(GUARDED)} and {CATEGORY}NAME"
        raise SettingsError(f"FRESHET_GATE_SEGMENTS: {name!r} is no segment" + hint)
    return names


def better_check(evaluation: Evaluation, margin: float) -> tuple[Check, Ratio]:
    """Whether the lower end of the ratio's interval lies above 1 + margin, by a paired bootstrap over users.

    Strictly above: with a margin of 0 a model that is the champion's equal has no reason to take its place.
    """
    ratio, (ours, theirs) = _ratio(evaluation, "all"), (evaluation.results["live"][name] for name in (PRODUCT, RIVAL))
    detail = (
        f"NDCG@10 {ours.means['ndcg@10']:.4f} against the champion's {theirs.means['ndcg@10']:.4f} "
        f"on {ours.moments:,} moments of {ours.users:,} users: "
        f"{_interval(ratio)}; the lower end must exceed {1 + margin:.3f}"
    )
    return Check("better than the champion", ours.moments > 0 and ratio.low - 1 > margin, detail), ratio


def segment_checks(evaluation: Evaluation, names: Iterable[str], margin: float) -> tuple[list[Check], dict[str, Ratio]]:
    """Whether guarded segments got worse: by more than the margin, and not by chance (the interval lies below 1)."""
    checks, ratios = [], {}
    for name in names:
        title = f"segment {name}"
        if name not in evaluation.segments:
            few = f"fewer than {CATEGORY_MOMENTS} moments" if name.startswith(CATEGORY) else "no moment"
            checks.append(Check(title, True, f"{few} in the window: not judged"))
            continue
        ratio = ratios[name] = _ratio(evaluation, name)
        worse = ratio.ratio - 1 < -margin and ratio.high < 1
        count = int(evaluation.segments[name].sum())
        detail = f"{_interval(ratio)} on {count:,} moments; fails below {1 - margin:.3f} with an upper end below 1"
        checks.append(Check(title, not worse, detail))
    return checks, ratios


def popularity_check(ours: float, theirs: float) -> Check:
    """Where there is no champion to beat: whether the model beats what needs no model."""
    verb = "beats" if ours > theirs else "does not beat"
    return Check("better than popularity", ours > theirs, f"NDCG@10 {ours:.4f} {verb} recent popularity's {theirs:.4f}")


def latency_check(ours_ms: float, theirs_ms: float, most: float) -> Check:
    """Whether a request takes not many times what the champion's takes (medians)."""
    ratio = ours_ms / theirs_ms if theirs_ms else math.inf
    detail = f"{ours_ms:.2f} ms a request, the champion {theirs_ms:.2f} ms: {ratio:.2f} times, at most {most:g}"
    return Check("latency", ratio <= most, detail)


def size_check(size_mb: float, most: float) -> Check:
    """Whether the bundle is not too large."""
    return Check("bundle size", size_mb <= most, f"{size_mb:.2f} MB, at most {most:g} MB")


def weights_check(bundle: Bundle) -> Check:
    """Whether all that the bundle learned is a number: a source of NaN falls silent instead of failing."""
    parts: dict[str, NDArray[np.floating]] = {f"retriever {name}": array for name, array in bundle.weights.items()}
    parts |= {"covisitation": bundle.covisitation.data, "long_term": bundle.long_term.data}
    for name, fusion in (("fusion", bundle.fusion), ("stale fusion", bundle.stale_fusion)):
        parts[name] = np.concatenate([fusion.mean, fusion.scale, fusion.weights, list(fusion.source_weights.values())])
    bad = [name for name, array in parts.items() if not np.isfinite(array).all()]
    return Check("finite weights", not bad, f"NaN or infinite in {', '.join(bad)}" if bad else "all are numbers")


def sanity_checks(answers: Sequence[Answer], catalog: int, fewest: int) -> list[Check]:
    """Whether answers to the canary requests make sense.

    Args:
        answers: as ``canary.answers`` gives them.
        catalog: how many items there are.
        fewest: different items that all answers together must hold, or as many as there are.
    """
    scores = np.concatenate([answer.scores for answer in answers]) if answers else np.empty(0, np.float32)
    strange = int((~np.isfinite(scores)).sum())
    empty = sum(answer.scored and not len(answer.scores) and answer.possible > 0 for answer in answers)
    short = sum(len(answer.items) < min(K, answer.possible) for answer in answers)
    distinct = len({item for answer in answers for item in answer.items})
    wanted = min(fewest, catalog)
    lists = [answer.items for answer in answers if answer.asked.personal and answer.asked.category is None]
    different = len(set(lists))
    return [
        Check("finite scores", not strange and not empty, _finite(len(scores), strange, empty)),
        Check("full lists", not short, f"{short} of {len(answers)} answers are shorter than {K} items and the choice"),
        Check("distinct items", distinct >= wanted, f"{distinct} different items in all answers, at least {wanted}"),
        Check(
            "personal lists",
            different > 1 or len(lists) < 2 or catalog <= 1,
            f"{different} different lists for {len(lists)} users with a history",
        ),
    ]


def _finite(scores: int, strange: int, empty: int) -> str:
    unscored = f"; {empty} users with something known of them were given no score" if empty else ""
    return f"{strange} of {scores} scores of the canary requests are NaN or infinite{unscored}"


def _ratio(evaluation: Evaluation, segment: str) -> Ratio:
    return evaluation.ratio(("live", PRODUCT), ("live", RIVAL), segment=segment)


def _interval(ratio: Ratio) -> str:
    return f"{ratio.ratio:.3f} times the champion's (95 %: {ratio.low:.3f} to {ratio.high:.3f})"


def _plain(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None

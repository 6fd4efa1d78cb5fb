"""Bundles that no user may be answered by, for tests and benchmarks; their hashes fit: only trying them shows it.

Their rankers are written by hand in LightGBM's text format, one small tree or many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log1p, nan
from pathlib import Path

from models.bundle import Bundle
from models.ranker import Ranker

NEVER = -1e30
"""A threshold that no value is below."""

DEEP = 60
"""Splits that a row passes in a slow tree."""


def nan_for(bundle: Bundle, events: int) -> Bundle:
    """Users of more events than this get scores that are no numbers; 0: all who have any."""
    return _with(bundle, [_tree(["user_log_events"], [log1p(events + 0.5)], [0.0, nan])])


def nan_for_cheap(bundle: Bundle, price: float) -> Bundle:
    """Items that cost less get scores that are no numbers."""
    return _with(bundle, [_tree(["item_log_price"], [log1p(price - 0.01)], [nan, 0.0])])


def slow_for(bundle: Bundle, events: int, trees: int = 1_000) -> Bundle:
    """Requests of users of more events than this take many times as long."""
    features = ["user_log_events"] + ["item_log_price"] * DEEP
    thresholds = [log1p(events + 0.5)] + [NEVER] * DEEP
    return _with(bundle, [_tree(features, thresholds, [0.0] * (DEEP + 2))] * trees)


def same_for_all(bundle: Bundle) -> Bundle:
    """Everybody is offered the dearest items."""
    prices = [log1p(n + 1.5) for n in range(20)]
    return _with(bundle, [_tree(["item_log_price"] * 20, prices, [1e3 * n for n in range(21)])])


def wrong_shape(bundle: Bundle) -> Bundle:
    """Item vectors of a dimension less than the net's."""
    return replace(bundle, weights={**bundle.weights, "item_vectors": bundle.weights["item_vectors"][:, :-1]})


def missing_rows(bundle: Bundle) -> Bundle:
    """An item less in one of the arrays."""
    return replace(bundle, weights={**bundle.weights, "item_vectors": bundle.weights["item_vectors"][:-1]})


def other_features(bundle: Bundle) -> Bundle:
    """A ranker that was trained on another feature list."""
    assert bundle.ranker is not None
    text = bundle.ranker.text.replace("item_rising", "item_falling")
    names = tuple(name.replace("item_rising", "item_falling") for name in bundle.feature_names)
    return replace(bundle, ranker=Ranker(text), feature_names=names)


def saved(bundle_dir: Path, make: Callable[[Bundle], Bundle], to: Path) -> Path:
    """A bad bundle made of a good one, in a folder."""
    return make(Bundle.load(bundle_dir)).save(to)


def altered(bundle_dir: Path, to: Path) -> Path:
    """A copy with one byte changed after the hashes were taken."""
    Bundle.load(bundle_dir).save(to)
    text = (to / "items.json").read_text()
    (to / "items.json").write_text(text.replace("garden-1", "garden-X", 1))
    return to


def _tree(features: Sequence[str], thresholds: Sequence[float], leaves: Sequence[float]) -> list[tuple[str, object]]:
    """A chain: at each split the lower values go to a leaf, the others on to the next split."""
    splits = len(features)
    last = [-(splits + 1)]
    return [
        ("num_leaves", splits + 1),
        ("num_cat", 0),
        ("split_feature", features),
        ("split_gain", [1] * splits),
        ("threshold", thresholds),
        ("decision_type", [2] * splits),
        ("left_child", [-(n + 1) for n in range(splits)]),
        ("right_child", [*range(1, splits), *last]),
        ("leaf_value", leaves),
        ("leaf_weight", [1] * (splits + 1)),
        ("leaf_count", [1] * (splits + 1)),
        ("internal_value", [0] * splits),
        ("internal_weight", [1] * splits),
        ("internal_count", [2] * splits),
        ("is_linear", 0),
        ("shrinkage", 1),
    ]


def _with(bundle: Bundle, trees: Sequence[list[tuple[str, object]]]) -> Bundle:
    assert bundle.ranker is not None
    place = {name: n for n, name in enumerate(bundle.feature_names)}
    blocks = []
    for n, tree in enumerate(trees):
        lines = [f"Tree={n}"]
        for name, value in tree:
            values = value if isinstance(value, Sequence) else [value]
            lines.append(f"{name}=" + " ".join(str(place[each] if isinstance(each, str) else each) for each in values))
        blocks.append("\n".join(lines) + "\n\n\n")
    head, _, rest = bundle.ranker.text.partition("tree_sizes=")
    _, _, tail = rest.partition("end of trees")
    sizes = " ".join(str(len(block)) for block in blocks)
    return replace(bundle, ranker=Ranker(f"{head}tree_sizes={sizes}\n\n{''.join(blocks)}end of trees{tail}"))

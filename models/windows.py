"""History cut into windows and batched for the net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from feature_repo.state import MAX_RECENT
from models.dataset import History
from models.encoder import NO_GAP, gap_bucket
from models.net import Batch
from models.softmax import Labels

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

WINDOW = 2 * MAX_RECENT
"""Events trained on at a time: the later half of a window sees a full MAX_RECENT of history, as serving does."""

BATCH = 16

SEEN = 1_000
"""Acts before a window whose items stand outside the softmax."""

HALF_LIFE_US = 90 * 86_400 * 1_000_000
"""Age at which an event counts half as a label: taste and catalogue drift, and what is served comes after the end."""

LABEL_POWER = 0.5
"""Exponent of label weights: a purchase counts more than a view, but eight views are more taste than one purchase."""


@dataclass(frozen=True)
class Examples:
    """What the net is trained on.

    Attributes:
        history: the events.
        content: float32 [items, content columns], in the order of ``history.item_ids``.
        segments: vocabulary of profile segments.
        profiles: user id -> segment names.
    """

    history: History
    content: Floats
    segments: Sequence[str]
    profiles: Mapping[str, Sequence[str]]


Window = tuple[int, int]
"""First and last + 1 event of a window."""


def epoch_windows(history: History, random: np.random.Generator) -> list[list[Window]]:
    """Windows of one pass, cut at a new offset for each user, batched with others of about their length."""
    windows = []
    offsets = random.integers(1, WINDOW + 1, len(history.user_ids))
    for user, offset in enumerate(offsets):
        begin, end = int(history.start[user]), int(history.start[user + 1])
        cut = begin + int(offset) if end - begin > WINDOW else min(begin + WINDOW, end)
        while begin < end:
            windows.append((begin, cut))
            begin, cut = cut, min(cut + WINDOW, end)
    lengths = np.array([end - begin for begin, end in windows])
    order = np.argsort(lengths + 10 * random.random(len(lengths)))
    batches = [[windows[n] for n in order[k : k + BATCH]] for k in range(0, len(order), BATCH)]
    return [batches[n] for n in random.permutation(len(batches))]


def make_batch(history: History, windows: Sequence[Window], profiles: Floats) -> Batch:
    """Arrays of some windows, each of one user, and of the moments in them, each of which is one query."""
    shown = [_show(history, window) for window in windows]
    items = _padded([each.items for each in shown], len(history.item_ids))
    times, moments = _padded([each.times for each in shown], 0), _padded([each.moments for each in shown], 0)
    asked = _padded([np.ones_like(each.moments) for each in shown], 0).astype(bool)
    return Batch(
        items=torch.from_numpy(items),
        types=torch.from_numpy(_padded([each.types for each in shown], 0)),
        gaps_in=torch.from_numpy(_padded([each.gaps_in for each in shown], NO_GAP)),
        visible=torch.from_numpy(_padded([each.visible for each in shown], 0)),
        gaps_out=torch.from_numpy(_padded([each.gaps_out for each in shown], NO_GAP)),
        ages=torch.from_numpy(gap_bucket(moments[:, :, None] - times[:, None, :]).astype(np.int64)),
        asked=torch.from_numpy(asked),
        row=torch.from_numpy(np.nonzero(asked)[0]),
        segments=torch.from_numpy(profiles[[history.user[begin] for begin, _ in windows]]),
        labels=_labels(shown, int(history.time_us.max())),
    )


class _Shown(NamedTuple):
    """One window: its acts [T], its moments [M], and what those should find.

    ``query``: the moment of each label; ``seen``: what was met before each moment.
    """

    items: Numbers
    types: Numbers
    times: NDArray[np.int64]
    gaps_in: Numbers
    moments: NDArray[np.int64]
    visible: Numbers
    gaps_out: Numbers
    query: Numbers
    item: Numbers
    weight: Floats
    seen: list[Numbers]


def _show(history: History, window: Window) -> _Shown:
    begin, end = window
    start, times, items = int(history.start[history.user[begin]]), history.time_us[begin:end], history.item[begin:end]
    pauses = gap_bucket(np.diff(times, prepend=history.time_us[begin - 1] if begin > start else 0))
    if begin == start:
        pauses[0] = NO_GAP
    visible, query = np.unique(np.searchsorted(times, times), return_inverse=True)
    moments = times[visible]
    gaps_out = np.where(visible > 0, gap_bucket(moments - times[visible - 1]), NO_GAP)
    wanted = history.weight[begin:end] > 0
    if begin > start:
        # The first moment of a window that cuts a history has acts before it that the window does not show.
        wanted &= query > 0
    seen = [history.item[max(start, begin - SEEN) : begin + n] for n in visible]
    labels = (query[wanted], items[wanted], history.weight[begin:end][wanted])
    return _Shown(items, history.event_type[begin:end], times, pauses, moments, visible, gaps_out, *labels, seen)


def _padded(rows: Sequence[NDArray[np.integer]], filler: int) -> NDArray[np.int64]:
    out = np.full((len(rows), max(map(len, rows))), filler, np.int64)
    for place, row in zip(out, rows, strict=True):
        place[: len(row)] = row
    return out


def _labels(shown: Sequence[_Shown], end_us: int) -> Labels:
    first = np.cumsum([0, *(len(each.moments) for each in shown)])
    seen = [items for each in shown for items in each.seen]
    age = np.concatenate([end_us - each.moments[each.query] for each in shown])
    weight = np.concatenate([each.weight for each in shown]) ** LABEL_POWER * np.exp2(-age / HALF_LIFE_US)
    return Labels(
        query=torch.from_numpy(np.concatenate([each.query + n for each, n in zip(shown, first, strict=False)])),
        item=torch.from_numpy(np.concatenate([each.item for each in shown])),
        weight=torch.from_numpy(weight.astype(np.float32)),
        seen_query=torch.from_numpy(np.repeat(np.arange(len(seen)), [len(items) for items in seen])),
        seen_item=torch.from_numpy(np.concatenate(seen)),
    )


def multi_hot(users: Sequence[str], profiles: Mapping[str, Sequence[str]], segments: Sequence[str]) -> Floats:
    """Profiles as rows: float32 [users, segments]."""
    number = {name: n for n, name in enumerate(segments)}
    out = np.zeros((len(users), len(segments)), np.float32)
    for row, user in enumerate(users):
        for name in profiles.get(user, ()):
            if name in number:
                out[row, number[name]] = 1
    return out

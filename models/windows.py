"""History cut into windows and batched for the net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from feature_repo.state import MAX_RECENT
from models.dataset import History
from models.encoder import NO_GAP, gap_bucket
from models.net import Batch

Floats = NDArray[np.float32]

WINDOW = 2 * MAX_RECENT
"""Events trained on at a time: the later half of a window sees a full MAX_RECENT of history, as serving does."""

BATCH = 32


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
    """Arrays of some windows, each of one user."""
    longest = max(end - begin for begin, end in windows)
    shape = (len(windows), longest)
    items = np.full(shape, len(history.item_ids))
    types, visible, target = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    gaps_in, gaps_out, times = np.full(shape, NO_GAP), np.full(shape, NO_GAP), np.zeros(shape, np.int64)
    for row, (begin, end) in enumerate(windows):
        n, part = end - begin, slice(begin, end)
        time_us = history.time_us[part]
        items[row, :n], types[row, :n], times[row, :n] = history.item[part], history.event_type[part], time_us
        if begin > history.start[history.user[begin]]:
            gaps_in[row, 0] = gap_bucket(time_us[0] - history.time_us[begin - 1])
        gaps_in[row, 1:n] = gap_bucket(np.diff(time_us))
        visible[row, :n] = np.searchsorted(time_us, time_us, "left")
        last = time_us[np.maximum(visible[row, :n] - 1, 0)]
        gaps_out[row, :n] = np.where(visible[row, :n] > 0, gap_bucket(time_us - last), NO_GAP)
        target[row, :n] = history.weight[part]
    # The first moment of a window that cuts a history has acts before it that the window does not show.
    for row, (begin, _) in enumerate(windows):
        if begin > history.start[history.user[begin]]:
            target[row, visible[row] == 0] = 0
    ages = gap_bucket(times[:, :, None] - times[:, None, :])
    users = [history.user[begin] for begin, _ in windows]
    arrays = (items, types, gaps_in, gaps_out, ages, visible)
    return Batch(
        *(torch.from_numpy(array.astype(np.int64)) for array in arrays),
        *(torch.from_numpy(array) for array in (profiles[users], target)),
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

"""Two nets over the last items, trained by cross-entropy over all items: SASRec, and a two-tower that pools."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers.base import Asked, Floats, Meetings, meetings, silent_without_history
from models.dataset import History

LENGTH = 100
"""Items that a net looks back on."""

DIMENSIONS = 64
FULL_SOFTMAX_ITEMS = 2_000
"""Largest catalogue with a full softmax; beyond it NEGATIVES shared ones, corrected for how they were drawn."""

NEGATIVES = 512
DECAYS = (0.5, 0.8, 0.95, 1.0)
ASKED_AT_ONCE = 200
AVERAGING = 0.995
"""What the mean of the weights keeps in each step (Polyak & Juditsky, 1992); the mean is what answers."""


class Net(nn.Module):
    """Items in, one state of the user before the first item and after each; a state times ``item`` is a score.

    ``item`` has one row more than there are items: that of the padding.
    """

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.item = nn.Embedding(n_items + 1, DIMENSIONS)
        self.bias = nn.Parameter(torch.zeros(n_items))
        nn.init.normal_(self.item.weight, std=0.05)


class SasRec(Net):
    """Self-attentive sequential recommendation (Kang & McAuley, ICDM 2018), two layers."""

    def __init__(self, n_items: int, dropout: float) -> None:
        super().__init__(n_items)
        self.start = nn.Parameter(torch.zeros(1, 1, DIMENSIONS))
        self.position = nn.Parameter(0.02 * torch.randn(LENGTH + 1, DIMENSIONS))
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            DIMENSIONS, 2, 2 * DIMENSIONS, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, nn.LayerNorm(DIMENSIONS), enable_nested_tensor=False)

    def forward(self, items: Tensor) -> Tensor:
        """States, float [B, T + 1, DIMENSIONS], of items [B, T]."""
        tokens = math.sqrt(DIMENSIONS) * self.item(items)
        tokens = torch.cat([self.start.expand(len(items), 1, -1), tokens], 1)
        tokens = self.dropout(tokens + self.position[: tokens.shape[1]])
        later = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).triu(1)
        states: Tensor = self.layers(tokens, mask=later, is_causal=True)
        return states


class PoolingTower(Net):
    """A two-tower whose user is the mean of his items under several fixed decays, through a small MLP.

    After "Deep neural networks for YouTube recommendations" (Covington, Adams & Sargin, RecSys 2016).
    """

    def __init__(self, n_items: int, dropout: float) -> None:
        super().__init__(n_items)
        self.token = nn.Embedding(n_items + 1, DIMENSIONS)
        nn.init.normal_(self.token.weight, std=0.05)
        self.dropout = nn.Dropout(dropout)
        pooled = len(DECAYS) * DIMENSIONS
        self.skip = nn.Linear(pooled, DIMENSIONS)
        self.mlp = nn.Sequential(
            nn.Linear(pooled, 2 * DIMENSIONS), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * DIMENSIONS, DIMENSIONS)
        )

    def forward(self, items: Tensor) -> Tensor:
        """States, float [B, T + 1, DIMENSIONS], of items [B, T]."""
        tokens = self.dropout(self.token(items))
        age = torch.arange(items.shape[1] + 1)[:, None] - 1 - torch.arange(items.shape[1])
        decays = torch.tensor(DECAYS)[:, None, None]
        weights = torch.where(age >= 0, decays ** age.clamp(min=0), 0.0)
        weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-9)
        pooled = torch.einsum("kqt,btd->bqkd", weights, tokens).flatten(2)
        states: Tensor = self.skip(pooled) + self.mlp(pooled)
        return states


KINDS: dict[str, type[SasRec] | type[PoolingTower]] = {"sasrec": SasRec, "pooling": PoolingTower}


class Batch(NamedTuple):
    """Windows of histories, [B, T] each; padding is the number of items.

    ``visible``: how many items of its window were met strictly before each item; ``target``: whether the item is to
    be predicted.
    """

    items: Tensor
    visible: Tensor
    target: Tensor


@dataclass
class NetPeer:
    """A net that predicts every item of a moment from what was met strictly before it.

    Cross-entropy over all items and not over one negative is what makes SASRec strong (Klenitskiy & Vasilev, RecSys
    2023).

    Attributes:
        kind: which net; steps: how many batches; batch: windows in each; learning_rate: its peak; dropout; seed.
    """

    name: str
    kind: Literal["sasrec", "pooling"]
    steps: int = 1_000
    batch: int = 32
    learning_rate: float = 4e-3
    dropout: float = 0.2
    seed: int = 0
    _net: SasRec | PoolingTower = field(init=False, repr=False)

    def fit(self, history: History, until_us: int) -> None:
        """AdamW with warm-up and a cosine to zero."""
        met = meetings(history, until_us)
        random = np.random.default_rng(self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net = KINDS[self.kind](met.items, self.dropout)
            mean = deepcopy(net)
            optimizer = torch.optim.AdamW(net.parameters(), self.learning_rate, weight_decay=0.01, betas=(0.9, 0.98))
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
            for step, batch in zip(range(self.steps), batches(met, self.batch, random), strict=False):
                optimizer.zero_grad()
                loss = _loss(net, batch)
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                optimizer.step()
                schedule.step()
                _average(mean, net, min(AVERAGING, (step + 1) / (step + 10)))
        self._net = mean.eval()

    @torch.no_grad()
    def scores(self, asked: Sequence[Asked]) -> Floats:
        """The state after the last LENGTH items times all items."""
        net, n_items = self._net, len(self._net.bias)
        scores = np.empty((len(asked), n_items), np.float32)
        for begin in range(0, len(asked), ASKED_AT_ONCE):
            part = slice(begin, begin + ASKED_AT_ONCE)
            last = [one.items[-LENGTH:] for one in asked[part]]
            items = _padded(last, n_items)
            states = net(items)[torch.arange(len(last)), torch.tensor([len(row) for row in last])]
            scores[part] = (states @ net.item.weight[:-1].T + net.bias).numpy()
        return silent_without_history(scores, asked)

    def _rate(self, step: int) -> float:
        share = step / self.steps
        return min(1.0, 20 * share + 0.02) * (0.5 + 0.5 * math.cos(math.pi * share))


def batches(met: Meetings, size: int, random: np.random.Generator) -> Iterator[Batch]:
    """Windows of LENGTH items for ever, cut anew in each pass, each batch of windows of about one length."""
    start = np.searchsorted(met.user, np.arange(met.users + 1))
    while True:
        offsets = random.integers(1, LENGTH + 1, met.users)
        windows = [w for u, offset in enumerate(offsets) for w in _windows(start[u], start[u + 1], int(offset))]
        if not windows:
            return
        lengths = np.array([end - begin for begin, end in windows])
        order = np.argsort(lengths + 10 * random.random(len(lengths)))
        groups = [order[at : at + size] for at in range(0, len(order), size)]
        for group in random.permutation(len(groups)):
            yield _batch(met, [windows[n] for n in groups[group]])


def _windows(begin: int, end: int, offset: int) -> list[tuple[int, int]]:
    first = begin + offset if end - begin > LENGTH else end
    cuts = [begin, *range(first, end, LENGTH), end]
    return [(a, b) for a, b in pairwise(cuts) if b - a > 1]


def _batch(met: Meetings, windows: Sequence[tuple[int, int]]) -> Batch:
    visible = np.zeros((len(windows), max(end - begin for begin, end in windows)), np.int64)
    for row, (begin, end) in enumerate(windows):
        times = met.time_us[begin:end]
        visible[row, : end - begin] = np.searchsorted(times, times)
    # What comes first in a window has nothing before it there.
    items = _padded([met.item[begin:end] for begin, end in windows], met.items)
    return Batch(items, torch.from_numpy(visible), torch.from_numpy(visible > 0))


def _padded(rows: Sequence[np.ndarray[tuple[int], np.dtype[np.intp]]], padding: int) -> Tensor:
    items = np.full((len(rows), max(1, *(len(row) for row in rows), 1)), padding, np.int64)
    for target, row in zip(items, rows, strict=True):
        target[: len(row)] = row
    return torch.from_numpy(items)


@torch.no_grad()
def _average(mean: nn.Module, net: nn.Module, share: float) -> None:
    for old, new in zip(mean.parameters(), net.parameters(), strict=True):
        old.lerp_(new, 1 - share)


def _loss(net: SasRec | PoolingTower, batch: Batch) -> Tensor:
    states = net(batch.items)
    row = torch.arange(len(states))[:, None].expand_as(batch.items)[batch.target]
    states = states[row, batch.visible[batch.target]]
    targets, n_items = batch.items[batch.target], len(net.bias)
    if n_items <= FULL_SOFTMAX_ITEMS:
        return functional.cross_entropy(states @ net.item.weight[:-1].T + net.bias, targets)
    others = torch.randperm(n_items)[:NEGATIVES]
    logits = states @ net.item(others).T + net.bias[others] + math.log(n_items / NEGATIVES)
    logits = logits.masked_fill(others == targets[:, None], -math.inf)
    own = (states * net.item(targets)).sum(-1) + net.bias[targets]
    return (torch.logaddexp(logits.logsumexp(-1), own) - own).mean()

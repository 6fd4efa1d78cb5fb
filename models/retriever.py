"""Training of the two-tower retriever (PyTorch); what it learns is served by ``encoder.py`` without torch.

A user side that pools the last items by lag-decay attention, an item side of id embedding plus content projection,
full softmax over the items, every event predicted from the acts strictly before its moment. Both item embeddings start
from the singular vectors of log(1 + PMI) of co-visits (Levy, Goldberg, "Neural word embedding as implicit matrix
factorization", NIPS 2014): on little data that start is worth more than any layer. The weights that stand are an
exponential moving average. Only this file imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import svds
from torch import Tensor, nn
from torch.nn import functional

from feature_repo.events import EVENT_TYPES
from feature_repo.state import MAX_RECENT
from models.dataset import History
from models.encoder import N_GAPS, NO_GAP, SINK, gap_bucket

Floats = NDArray[np.float32]
Progress = Callable[[int, int, float], None]
"""Called after each step with (steps done, all steps, running loss)."""

DIMENSIONS = 64
HEADS = 4
LAG_SLOPES = (1.5, 0.5, 0.15, 0.05)
WINDOW = 2 * MAX_RECENT
"""Events trained on at a time: the later half of a window sees a full MAX_RECENT of history, as serving does."""

BATCH = 32
LEARNING_RATE = 4e-3
FINE_TUNE_RATE = 1.6e-3
WEIGHT_DECAY = 0.01
WARM_UP = 0.1
EMA = 0.995
DROPOUT = 0.2
PMI_WINDOW = 10
PMI_GAP_US = 86_400 * 1_000_000
INITIAL_SCALE = 0.1
RIDGE = 1.0


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


@dataclass(frozen=True)
class Retriever:
    """A trained net: its items and its torch state, which a later fine-tune starts from."""

    item_ids: tuple[str, ...]
    state: Mapping[str, Tensor]
    weights: Mapping[str, Floats]
    loss: float


class TwoTower(nn.Module):
    """The net. n items, d dimensions, H heads; see ``encoder.ARRAYS`` for what each weight is."""

    def __init__(self, content: Floats, n_segments: int, dimensions: int = DIMENSIONS) -> None:
        super().__init__()
        n_items, d = len(content), dimensions
        self.n_items = n_items
        self.register_buffer("content", torch.from_numpy(content), persistent=False)
        self.item = nn.Embedding(n_items, d)
        self.token = nn.Embedding(n_items + 1, d)
        self.gate = nn.Embedding(n_items + 1, HEADS)
        self.project = nn.Linear(content.shape[1], d, bias=False)
        self.bias = nn.Parameter(torch.zeros(n_items))
        self.gap_in = nn.Embedding(N_GAPS, d)
        self.gap_out = nn.Embedding(N_GAPS, d)
        self.event_type = nn.Embedding(len(EVENT_TYPES), d)
        self.segment = nn.Linear(n_segments, d, bias=False)
        self.lag = nn.Parameter(torch.stack([-torch.arange(MAX_RECENT).float() * slope for slope in LAG_SLOPES]))
        self.age = nn.Parameter(torch.zeros(N_GAPS, HEADS))
        self.pool = nn.Linear(d * HEADS, d)
        self.hidden = nn.Linear(2 * d, 2 * d)
        self.out = nn.Linear(2 * d, d)
        self.dropout = nn.Dropout(DROPOUT)
        for zero in (self.gate, self.gap_in, self.gap_out, self.event_type):
            nn.init.zeros_(zero.weight)
        nn.init.normal_(self.segment.weight, std=0.02)

    def start_from(self, items: Floats, tokens: Floats) -> None:
        """Take initial item and token vectors over, the part that content explains going to the projection."""
        explained = explain(self.content.numpy(), items)
        with torch.no_grad():
            self.project.weight.copy_(torch.from_numpy(explained.T.copy()))
            self.item.weight.copy_(torch.from_numpy(items) - self.project(self.content))
            self.token.weight[:-1].copy_(torch.from_numpy(tokens))

    def item_vectors(self) -> Tensor:
        """Vectors of all items: [n, d]."""
        return self.item.weight + self.project(self.content)

    def token_vectors(self) -> Tensor:
        """Items as parts of a history: [n + 1, d], the last row for padding."""
        vectors = torch.cat([self.item_vectors(), torch.zeros(1, self.item.embedding_dim)])
        return self.token.weight + vectors

    def forward(self, batch: Batch) -> Tensor:
        """Query vectors of every position of B windows of T acts: [B, T, d]."""
        states = functional.embedding(batch.items, self.token_vectors())
        states = self.dropout(states + self.gap_in(batch.gaps_in) + self.event_type(batch.types))
        pooled = self._attention(batch) @ states[:, None]
        taste = self.pool(pooled.permute(0, 2, 1, 3).flatten(2))
        profile = self.segment(batch.segments)[:, None].expand_as(taste)
        hidden = self.dropout(functional.silu(self.hidden(torch.cat([taste, profile], -1))))
        return taste + self.out(hidden) + profile + self.gap_out(batch.gaps_out)

    def _attention(self, batch: Batch) -> Tensor:
        length = batch.items.shape[1]
        lag = batch.visible[:, :, None] - 1 - torch.arange(length)
        seen = (lag >= 0) & (lag < MAX_RECENT) & (batch.items < self.n_items)[:, None]
        logits = self.lag[:, lag.clamp(0, MAX_RECENT - 1)].permute(1, 0, 2, 3)
        logits = logits + self.age[batch.ages].permute(0, 3, 1, 2) + self.gate(batch.items).permute(0, 2, 1)[:, :, None]
        logits = logits.masked_fill(~seen[:, None], -1e9)
        sink = torch.full_like(logits[..., :1], SINK)
        return torch.cat([logits, sink], -1).softmax(-1)[..., :-1]

    def export(self) -> dict[str, Floats]:
        """The weights as ``encoder.py`` reads them."""
        arrays = {
            "item_vectors": self.item_vectors(),
            "item_bias": self.bias,
            "token_vectors": self.token_vectors()[:-1],
            "token_gate": self.gate.weight[:-1],
            "content_vectors": torch.from_numpy(explain(self.content.numpy(), self.item_vectors().detach().numpy())),
            "gap_in": self.gap_in.weight,
            "gap_out": self.gap_out.weight,
            "type_vectors": self.event_type.weight,
            "segment_vectors": self.segment.weight.T,
            "lag": self.lag,
            "age": self.age,
            "pool_weight": self.pool.weight.T,
            "pool_bias": self.pool.bias,
            "hidden_weight": self.hidden.weight.T,
            "hidden_bias": self.hidden.bias,
            "out_weight": self.out.weight.T,
            "out_bias": self.out.bias,
        }
        return {name: np.ascontiguousarray(tensor.detach().numpy(), np.float32) for name, tensor in arrays.items()}


@dataclass(frozen=True)
class Batch:
    """B windows of T acts; padding has item number n. Integers [B, T] unless said otherwise.

    ``visible``: how many acts of the window are strictly before each act's moment; ``gaps_in``: bucket of the pause
    before each act; ``gaps_out``: of the pause before the moment that is to be predicted; ``ages``: [B, T, T] bucket
    of how old act j is at moment i; ``segments``: float [B, segments]; ``target``: float [B, T] weight of the event
    as a label.
    """

    items: Tensor
    types: Tensor
    gaps_in: Tensor
    gaps_out: Tensor
    ages: Tensor
    visible: Tensor
    segments: Tensor
    target: Tensor


def explain(content: Floats, vectors: Floats) -> Floats:
    """What content tells of vectors, by ridge regression: [content columns, d]. The guess for an unmet item."""
    gram = content.T @ content + RIDGE * np.eye(content.shape[1], dtype=np.float32)
    return np.linalg.solve(gram, content.T @ vectors).astype(np.float32)


def train_retriever(
    examples: Examples,
    epochs: int,
    *,
    seed: int = 0,
    threads: int = 1,
    start: Retriever | None = None,
    progress: Progress | None = None,
) -> Retriever:
    """Train from the PMI start, or go on from an earlier net on more events.

    Args:
        examples: events, content and profiles.
        epochs: passes over the events.
        seed: of everything random; equal seed, events and threads give equal weights.
        threads: torch's threads.
        start: an earlier net of the same content columns and segments; items new since then start from content.
        progress: told after each step.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = TwoTower(examples.content, len(examples.segments))
            if start is None:
                net.start_from(*pmi_vectors(examples.history, DIMENSIONS, seed))
            else:
                _resume(net, examples.history.item_ids, start)
            rate = LEARNING_RATE if start is None else FINE_TUNE_RATE
            loss = _fit(net, examples, epochs, rate=rate, random=np.random.default_rng(seed), progress=progress)
    finally:
        torch.set_num_threads(before)
    state = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    return Retriever(examples.history.item_ids, state, net.export(), loss)


def _resume(net: TwoTower, item_ids: Sequence[str], start: Retriever) -> None:
    old = {item_id: n for n, item_id in enumerate(start.item_ids)}
    known = [n for n, item_id in enumerate(item_ids) if item_id in old]
    source = [old[item_ids[n]] for n in known]
    state = net.state_dict()
    for name, tensor in start.state.items():
        if state[name].shape == tensor.shape and name not in _BY_ITEM:
            state[name].copy_(tensor)
            continue
        fresh = state[name]
        fresh.zero_()
        fresh[known] = tensor[source]
        if name == "bias":
            fresh[[n for n, item_id in enumerate(item_ids) if item_id not in old]] = tensor.mean()
        elif name in _PADDED:
            fresh[-1] = tensor[-1]
    net.load_state_dict(state)
    new = [n for n, item_id in enumerate(item_ids) if item_id not in old]
    with torch.no_grad():
        guess = net.content[new] @ torch.from_numpy(start.weights["content_vectors"])
        net.item.weight[new] = guess - net.project(net.content[new])


_PADDED = ("token.weight", "gate.weight")
_BY_ITEM = ("item.weight", "bias", *_PADDED)


def _fit(
    net: TwoTower,
    examples: Examples,
    epochs: int,
    *,
    rate: float,
    random: np.random.Generator,
    progress: Progress | None,
) -> float:
    history = examples.history
    profiles = _multi_hot(history.user_ids, examples.profiles, examples.segments)
    plan = [windows for _ in range(epochs) for windows in _epoch(history, random)]
    running = math.nan
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98))
    average = [p.detach().clone() for p in net.parameters()]
    net.train()
    for done, windows in enumerate(plan):
        for group in optimizer.param_groups:
            group["lr"] = rate * _schedule(done / len(plan))
        loss = _loss(net, make_batch(history, windows, profiles))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        with torch.no_grad():
            for mean, value in zip(average, net.parameters(), strict=True):
                mean.lerp_(value, 1 - min(EMA, (done + 2) / (done + 11)))
        running = loss.item() if math.isnan(running) else 0.98 * running + 0.02 * loss.item()
        if progress:
            progress(done + 1, len(plan), running)
    with torch.no_grad():
        for value, mean in zip(net.parameters(), average, strict=True):
            value.copy_(mean)
    net.eval()
    return running


def _schedule(share: float) -> float:
    """Linear warm-up, then half a cosine down to nothing."""
    return min(1.0, share / WARM_UP + 0.02) * (
        0.5 + 0.5 * math.cos(math.pi * max(0.0, share - WARM_UP) / (1 - WARM_UP))
    )


def _loss(net: TwoTower, batch: Batch) -> Tensor:
    labels = batch.target > 0
    queries, items, weights = net(batch)[labels], batch.items[labels], batch.target[labels]
    logits = queries @ net.item_vectors().T + net.bias
    losses = functional.cross_entropy(logits, items, reduction="none")
    return (losses * weights).sum() / weights.sum().clamp(min=1e-6)


Window = tuple[int, int]
"""First and last + 1 event of a window."""


def _epoch(history: History, random: np.random.Generator) -> list[list[Window]]:
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


def _multi_hot(users: Sequence[str], profiles: Mapping[str, Sequence[str]], segments: Sequence[str]) -> Floats:
    number = {name: n for n, name in enumerate(segments)}
    out = np.zeros((len(users), len(segments)), np.float32)
    for row, user in enumerate(users):
        for name in profiles.get(user, ()):
            if name in number:
                out[row, number[name]] = 1
    return out


def pmi_vectors(history: History, dimensions: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Item and token vectors from the SVD of log(1 + PMI ratio) of forward co-visits: float32 [n, dimensions] each."""
    n = len(history.item_ids)
    counts = sp.csr_matrix((n, n))
    for distance in range(1, PMI_WINDOW + 1):
        near = (history.user[distance:] == history.user[:-distance]) & (
            history.time_us[distance:] - history.time_us[:-distance] < PMI_GAP_US
        )
        pair = (history.item[:-distance][near], history.item[distance:][near])
        counts = counts + sp.csr_matrix((np.full(near.sum(), 1 / distance), pair), shape=(n, n))
    counts = sp.coo_matrix(counts)
    rows, columns = np.asarray(counts.sum(1)).ravel() + 1, np.asarray(counts.sum(0)).ravel() + 1
    ratio = counts.data * counts.data.sum() / (rows[counts.row] * columns[counts.col])
    matrix = sp.csr_matrix((np.log1p(ratio), (counts.row, counts.col)), shape=(n, n))
    items, tokens = np.zeros((n, dimensions)), np.zeros((n, dimensions))
    rank = min(dimensions, n - 1)
    if rank > 0 and matrix.nnz:
        left, values, right = svds(matrix, k=rank, random_state=seed)
        items[:, :rank], tokens[:, :rank] = right.T * np.sqrt(values), left * np.sqrt(values)
    return _scaled(items), _scaled(tokens)


def _scaled(vectors: NDArray[np.float64]) -> Floats:
    return (vectors / (vectors.std() or 1.0) * INITIAL_SCALE).astype(np.float32)

"""Training of the two-tower retriever (PyTorch); what it learns is served by ``encoder.py`` without torch.

A user side that pools the last items by lag-decay attention, an item side of id embedding plus content projection,
softmax over the items that a user has not met, every event predicted from the acts strictly before its moment, late
events weighing more. Both item embeddings start from the singular vectors of log(1 + PMI) of co-visits (Levy,
Goldberg, "Neural word embedding as implicit matrix factorization", NIPS 2014): on little data that start is worth more
than any layer. The weights that stand are an exponential moving average. Only this file, ``net.py``, ``softmax.py``
and ``windows.py`` import torch.
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

from models.covisitation import co_visits
from models.dataset import History
from models.net import DIMENSIONS, TwoTower
from models.softmax import Labels, Sampler, softmax_loss
from models.windows import Examples, epoch_windows, make_batch, multi_hot

Floats = NDArray[np.float32]
Progress = Callable[[int, int, float], None]
"""Called after each step with (steps done, all steps, running loss)."""

LEARNING_RATE = 4e-3
FINE_TUNE_RATE = 1.6e-3
WEIGHT_DECAY = 0.01
WARM_UP = 0.1
EMA = 0.995
PMI_WINDOW = 10
INITIAL_SCALE = 0.1
FORGOTTEN = 0.1
SMALL_HISTORY = 300_000
"""Up to so many events a training step does not see FORGOTTEN of a window's acts: on MovieLens-100K that keeps the net
from learning them by heart (85-90 %: NDCG@10 +3 %), on MovieLens-1M it costs 4 %."""
CURVE_POINTS = 200
WHOLE_SOFTMAX = 5_000
"""Items up to which the softmax is over all of them; beyond, it is estimated."""


@dataclass(frozen=True)
class Retriever:
    """A trained net: its items and its torch state, which a later fine-tune starts from.

    ``curve``: the running loss after some steps, at most CURVE_POINTS and the last among them: (step, loss).
    """

    item_ids: tuple[str, ...]
    state: Mapping[str, Tensor]
    weights: Mapping[str, Floats]
    loss: float
    curve: Sequence[tuple[int, float]] = ()


def is_small(history: History) -> bool:
    """Whether a history is so small that the net could learn it by heart."""
    return len(history) <= SMALL_HISTORY


def passes(epochs: int, history: History) -> int:
    """Passes over a history: ``epochs`` of a small one, half as many of a large one, whose items are met often."""
    return epochs if is_small(history) else (epochs + 1) // 2


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
            forgotten = FORGOTTEN if is_small(examples.history) else 0.0
            net = TwoTower(examples.content, len(examples.segments), forgotten=forgotten)
            if start is None:
                net.start_from(*pmi_vectors(examples.history, DIMENSIONS, seed))
            else:
                _resume(net, examples.history.item_ids, start)
            rate = LEARNING_RATE if start is None else FINE_TUNE_RATE
            curve = _fit(net, examples, epochs, rate=rate, random=np.random.default_rng(seed), progress=progress)
    finally:
        torch.set_num_threads(before)
    state = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    return Retriever(examples.history.item_ids, state, net.export(), curve[-1][1] if curve else math.nan, curve)


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
) -> list[tuple[int, float]]:
    history = examples.history
    profiles = multi_hot(history.user_ids, examples.profiles, examples.segments)
    plan = [windows for _ in range(epochs) for windows in epoch_windows(history, random)]
    loss_of = _loss_of(history, random)
    running, curve = math.nan, list[tuple[int, float]]()
    told_every = -(-len(plan) // CURVE_POINTS) or 1
    parameters = list(net.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98), fused=True)
    average = [p.detach().clone() for p in parameters]
    net.train()
    for done, windows in enumerate(plan):
        for group in optimizer.param_groups:
            group["lr"] = rate * _schedule(done / len(plan))
        batch = make_batch(history, windows, profiles)
        loss = loss_of(net(batch), net.item_vectors(), net.bias, batch.labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, parameters, 1 - min(EMA, (done + 2) / (done + 11)))
        running = loss.item() if math.isnan(running) else 0.98 * running + 0.02 * loss.item()
        if (done + 1) % told_every == 0 or done + 1 == len(plan):
            curve.append((done + 1, running))
        if progress:
            progress(done + 1, len(plan), running)
    with torch.no_grad():
        for value, mean in zip(parameters, average, strict=True):
            value.copy_(mean)
    net.eval()
    return curve


def _loss_of(history: History, random: np.random.Generator) -> Callable[[Tensor, Tensor, Tensor, Labels], Tensor]:
    if len(history.item_ids) <= WHOLE_SOFTMAX:
        return softmax_loss
    return Sampler(np.bincount(history.item[history.weight > 0], minlength=len(history.item_ids)), random).loss


def _schedule(share: float) -> float:
    """Linear warm-up, then half a cosine down to nothing."""
    return min(1.0, share / WARM_UP + 0.02) * (
        0.5 + 0.5 * math.cos(math.pi * max(0.0, share - WARM_UP) / (1 - WARM_UP))
    )


def pmi_vectors(history: History, dimensions: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Item and token vectors from the SVD of log(1 + PMI ratio) of forward co-visits: float32 [n, dimensions] each."""
    n = len(history.item_ids)
    every = np.ones(len(history))
    counts = co_visits(history.user, history.item, history.time_us, every, window=PMI_WINDOW, n_items=n)
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

"""The loss of the retriever: softmax over the catalogue, its gradient taken in the same pass; a sample of it if large.

Plain ``cross_entropy`` walks a dozen times through the logits of all queries and items. Here a block of queries at a
time stays in the cache, its shares are turned into gradients at once, and only those are kept: half the time.

Two things differ from the textbook. Queries are moments, not events: items met at one moment share one row of logits.
And what a user has met before stands outside the softmax of his queries, as it stands outside of his
recommendations: the net need not learn to push back the items that are most like his last ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

BLOCK = 128
"""Queries at a time: their logits over some thousand items fit the cache of a core."""

NEGATIVES = 1_024
"""Items drawn for a batch of a large catalogue, next to all of its labels."""

HIDDEN = -1e9


@dataclass(frozen=True)
class Labels:
    """What Q queries should have found. L labels and S pairs, both in order of query.

    Attributes:
        query, item: int64 [L]; weight: float32 [L], zero or more.
        seen_query, seen_item: int64 [S]; items that stand outside the softmax of a query. None of them is its label.
    """

    query: Tensor
    item: Tensor
    weight: Tensor
    seen_query: Tensor
    seen_item: Tensor


def softmax_loss(queries: Tensor, items: Tensor, bias: Tensor, labels: Labels) -> Tensor:
    """Weighted mean over the labels of -log softmax(q . v + b): a scalar.

    Args:
        queries: float32 [Q, d]; items: float32 [n, d]; bias: float32 [n].
        labels: with item numbers below n.
    """
    return _loss(queries, items, bias, labels, torch.zeros(len(items)))


class Sampler:
    """Shared negatives for catalogues whose whole softmax would cost too much.

    The columns of a batch are NEGATIVES draws by popularity and its labels, which count as such draws. A column's
    logit is raised by -log of its chance of being there ("logQ": Yi et al., "Sampling-bias-corrected neural modeling
    for large corpus item recommendations", RecSys 2019), so that the sum over the sample estimates that over the
    catalogue; a query's own label, which is always there, is not.

    Args:
        popularity: how often each of the n items was a label.
        random: draws the negatives.
    """

    def __init__(self, popularity: NDArray[np.int64], random: np.random.Generator) -> None:
        self._share = (popularity + 1) / (popularity + 1).sum()
        self._cumulative = np.cumsum(self._share)
        self._random = random

    def loss(self, queries: Tensor, items: Tensor, bias: Tensor, labels: Labels) -> Tensor:
        """As ``softmax_loss``, estimated."""
        drawn = np.searchsorted(self._cumulative, self._random.random(NEGATIVES) * self._cumulative[-1])
        columns = np.unique(np.concatenate([drawn, labels.item.numpy()]))
        place = torch.full((len(items),), -1)
        place[torch.from_numpy(columns)] = torch.arange(len(columns))
        seen = place[labels.seen_item]
        there = seen >= 0
        inside = replace(labels, item=place[labels.item], seen_query=labels.seen_query[there], seen_item=seen[there])
        chance = -np.expm1((NEGATIVES + len(labels.item)) * np.log1p(-self._share[columns]))
        raised = torch.from_numpy(-np.log(chance).astype(np.float32))
        rows = torch.from_numpy(columns)
        # Embeddings, not indices: the gradient of an index adds up in the order in which threads come.
        return _loss(
            queries, functional.embedding(rows, items), functional.embedding(rows, bias[:, None])[:, 0], inside, raised
        )


def _loss(queries: Tensor, items: Tensor, bias: Tensor, labels: Labels, raised: Tensor) -> Tensor:
    with_one = torch.cat([queries, torch.ones(len(queries), 1)], 1)
    loss: Tensor = _Softmax.apply(with_one, torch.cat([items, bias[:, None]], 1), labels, raised)
    return loss


class _Softmax(torch.autograd.Function):
    """q . v, both with the bias within; ``raised`` [n] is added to the logits of all that is no label of the query."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, items: Tensor, labels: Labels, raised: Tensor) -> Tensor:
        weight = labels.weight / labels.weight.sum().clamp(min=1e-6)
        wanted = torch.zeros(len(queries)).index_add_(0, labels.query, weight)
        by_query, by_item = torch.empty_like(queries), torch.zeros_like(items)
        begins = torch.arange(0, len(queries) + BLOCK, BLOCK)
        seen_at, labels_at = (torch.searchsorted(of, begins).tolist() for of in (labels.seen_query, labels.query))
        loss = torch.zeros(())
        for block, begin in enumerate(begins[:-1].tolist()):
            part = slice(begin, begin + BLOCK)
            seen, own = (slice(at[block], at[block + 1]) for at in (seen_at, labels_at))
            logits = torch.addmm(raised, queries[part], items.T)
            flat = logits.view(-1)
            flat[(labels.seen_query[seen] - begin) * len(items) + labels.seen_item[seen]] = HIDDEN
            flat[(labels.query[own] - begin) * len(items) + labels.item[own]] -= raised[labels.item[own]]
            top = logits.amax(1, keepdim=True)
            shares = logits.sub_(top).exp_()
            total = shares.sum(1, keepdim=True)
            loss += (wanted[part, None] * (top + total.log())).sum()
            scale = wanted[part, None] / total
            by_query[part] = (shares @ items) * scale
            by_item.addmm_(shares.T, queries[part] * scale)
        q, v = queries[labels.query], items[labels.item]
        loss -= (weight * (q * v).sum(1)).sum()
        by_query.index_add_(0, labels.query, v * -weight[:, None])
        by_item.index_add_(0, labels.item, q * -weight[:, None])
        ctx.save_for_backward(by_query, by_item)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        by_query, by_item = ctx.saved_tensors
        return gradients[0] * by_query, gradients[0] * by_item, None, None

"""The two-tower net in PyTorch; ``encoder.py`` is the same in NumPy.

The user side pools the last items by lag-decay attention; the item side is an id embedding plus a projection of
content.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from feature_repo.events import EVENT_TYPES
from feature_repo.state import MAX_RECENT
from models.encoder import N_GAPS, SINK
from models.softmax import HIDDEN, Labels

Floats = NDArray[np.float32]

DIMENSIONS = 64
HEADS = 4
LAG_SLOPES = (1.5, 0.5, 0.15, 0.05)
DROPOUT = 0.2
RIDGE = 1.0


@dataclass(frozen=True)
class Batch:
    """B windows of at most T acts with at most M moments each; Q moments in all, each one query.

    Attributes:
        items, types, gaps_in: int64 [B, T]; number, type and bucket of the pause before each act; padding has item n.
        visible: int64 [B, M]; how many acts of the window are strictly before each moment.
        gaps_out: int64 [B, M]; bucket of the pause before each moment.
        ages: int64 [B, M, T]; bucket of how old each act is at each moment.
        row: int64 [Q]; the window of each query.
        asked: bool [B, M]; False where there is no moment. The queries are its True places in order.
        segments: float32 [B, segments].
        labels: what the queries should find.
    """

    items: Tensor
    types: Tensor
    gaps_in: Tensor
    visible: Tensor
    gaps_out: Tensor
    ages: Tensor
    row: Tensor
    asked: Tensor
    segments: Tensor
    labels: Labels


class TwoTower(nn.Module):
    """The net. n items, d dimensions, H heads; see ``encoder.ARRAYS`` for what each weight is.

    Args:
        content: float32 [n, content columns]; n_segments: size of the profile's vocabulary.
        forgotten: share of the acts of a window that a training step does not see.
    """

    def __init__(self, content: Floats, n_segments: int, dimensions: int = DIMENSIONS, forgotten: float = 0.0) -> None:
        super().__init__()
        n_items, d = len(content), dimensions
        self.n_items = n_items
        self.forgotten = forgotten
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
        """Query vectors of all moments: [Q, d]."""
        states = functional.embedding(batch.items, self.token_vectors())
        states = self.dropout(states + self.gap_in(batch.gaps_in) + self.event_type(batch.types))
        pooled = (self._attention(batch) @ states[:, None]).permute(0, 2, 1, 3).flatten(2)
        taste = self.pool(pooled[batch.asked])
        profile = functional.embedding(batch.row, self.segment(batch.segments))
        hidden = self.dropout(functional.silu(self.hidden(torch.cat([taste, profile], -1))))
        return taste + self.out(hidden) + profile + self.gap_out(batch.gaps_out[batch.asked])

    def _attention(self, batch: Batch) -> Tensor:
        length = batch.items.shape[1]
        lag = batch.visible[:, :, None] - 1 - torch.arange(length)
        seen = (lag >= 0) & (lag < MAX_RECENT) & (batch.items < self.n_items)[:, None]
        if self.training:
            seen &= (torch.rand(batch.items.shape) >= self.forgotten)[:, None]
        # One table of rank and age, with a last row for what is not seen. An embedding, not an index: the gradient
        # of an index adds up in the order in which threads come.
        table = (self.lag.T[:, None] + self.age).flatten(0, 1)
        hidden = len(table)
        table = torch.cat([table, torch.full((1, HEADS), HIDDEN)])
        where = torch.where(seen, lag * N_GAPS + batch.ages, hidden)
        logits = functional.embedding(where, table, padding_idx=hidden) + self.gate(batch.items)[:, None]
        logits = logits.permute(0, 3, 1, 2)
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


def explain(content: Floats, vectors: Floats) -> Floats:
    """What content tells of vectors, by ridge regression: [content columns, d]. The guess for an unmet item."""
    gram = content.T @ content + RIDGE * np.eye(content.shape[1], dtype=np.float32)
    return np.linalg.solve(gram, content.T @ vectors).astype(np.float32)

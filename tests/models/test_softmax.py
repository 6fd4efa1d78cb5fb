"""The loss over the catalogue: its value and gradients are those of the plain formula, whole or estimated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from models.softmax import BLOCK, Labels, Sampler, softmax_loss

ITEMS = 40


def labels_of(queries: int) -> Labels:
    """Query q wants items q and q + 1 (the second thrice as much), and has met q + 2; numbers go round."""
    query = torch.arange(queries).repeat_interleave(2)
    item = (query + torch.arange(2).repeat(queries)) % ITEMS
    weight = torch.tensor([1.0, 3.0]).repeat(queries)
    return Labels(query, item, weight, torch.arange(queries), (torch.arange(queries) + 2) % ITEMS)


def vectors(queries: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    return torch.randn(queries, 8), torch.randn(ITEMS, 8), torch.randn(ITEMS)


def plain(queries: Tensor, items: Tensor, bias: Tensor, labels: Labels) -> Tensor:
    logits = queries @ items.T + bias
    met = torch.zeros(logits.shape, dtype=torch.bool)
    met[labels.seen_query, labels.seen_item] = True
    shares = logits.masked_fill(met, -torch.inf).log_softmax(1)
    return -(labels.weight * shares[labels.query, labels.item]).sum() / labels.weight.sum()


def test_three_items_of_equal_score_share_equally() -> None:
    nothing = torch.empty(0, dtype=torch.int64)
    one = Labels(torch.tensor([0]), torch.tensor([1]), torch.ones(1), nothing, nothing)
    met = Labels(one.query, one.item, one.weight, torch.tensor([0]), torch.tensor([2]))
    for labels, among in ((one, 3), (met, 2)):
        loss = softmax_loss(torch.zeros(1, 4), torch.ones(3, 4), torch.zeros(3), labels)
        assert loss.item() == pytest.approx(np.log(among))


@pytest.mark.parametrize("queries", [1, BLOCK, BLOCK + 7])
def test_loss_and_gradients_are_those_of_the_plain_formula(queries: int) -> None:
    labels = labels_of(queries)
    leaves = [tensor.requires_grad_() for tensor in vectors(queries)]
    ours, theirs = softmax_loss(*leaves, labels), plain(*leaves, labels)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    for mine, right in zip(torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves), strict=True):
        assert torch.allclose(mine, right, atol=1e-6)


def test_a_sample_of_the_catalogue_estimates_its_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.softmax.NEGATIVES", 12)
    popularity, random = np.arange(ITEMS) * 3, np.random.default_rng(0)
    queries, items, bias = vectors(6)
    # Flat scores: the mean of a logarithm is not far below the logarithm of the mean.
    leaves, nothing = (queries / 8, items, bias / 8), torch.empty(0, dtype=torch.int64)
    sampler = Sampler(popularity, random)
    differences = []
    for _ in range(3_000):
        wanted = torch.from_numpy(random.choice(ITEMS, 6, p=(popularity + 1) / (popularity + 1).sum()))
        labels = Labels(torch.arange(6), wanted, torch.ones(6), nothing, nothing)
        differences.append(sampler.loss(*leaves, labels).item() - softmax_loss(*leaves, labels).item())
    assert np.std(differences) > 0.05
    assert -0.1 < np.mean(differences) < 0.02


def test_a_sample_that_is_sure_to_hold_everything_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.softmax.NEGATIVES", 5_000)
    leaves, labels = vectors(5), labels_of(5)
    sampler = Sampler(np.ones(ITEMS, np.int64), np.random.default_rng(0))
    assert sampler.loss(*leaves, labels).item() == pytest.approx(softmax_loss(*leaves, labels).item(), rel=1e-4)

"""The net: NumPy equals torch, a seed fixes it, and its start and its content mean what they should."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from sample_shop import SHELF, sample_events, sample_items, sample_users
from torch import Tensor

from feature_repo.events import Event
from models.content import content, item_table
from models.dataset import History
from models.encoder import ARRAYS, Tokens, UserEncoder, gap_bucket
from models.net import TwoTower
from models.retriever import Retriever, pmi_vectors, train_retriever
from models.training import make_plan
from models.windows import Examples, make_batch, multi_hot


@pytest.fixture(scope="module")
def examples() -> Examples:
    plan = make_plan(sample_events(), sample_items(), sample_users())
    table = item_table(plan.history.item_ids, plan.catalog, plan.categories)
    columns = content(table, np.arange(len(plan.history.item_ids)))
    return Examples(plan.history, columns, plan.segments, plan.profiles)


@pytest.fixture(scope="module")
def trained(examples: Examples) -> Retriever:
    return train_retriever(examples, 3, seed=1)


def history_of(acts: str) -> History:
    """Views written as "user second item"."""
    rows = [act.split() for act in acts.split(",")]
    return History.of(
        Event(user_id=user, item_id=item, event_type="view", timestamp=datetime(2026, 1, 1, second=int(at), tzinfo=UTC))
        for user, at, item in rows
    )


def net_of(retriever: Retriever, examples: Examples) -> TwoTower:
    net = TwoTower(examples.content, len(examples.segments))
    net.load_state_dict(dict(retriever.state))
    return net.eval()


def test_numpy_encodes_what_torch_encodes(trained: Retriever, examples: Examples) -> None:
    history, net = examples.history, net_of(trained, examples)
    encoder = UserEncoder(trained.weights, examples.segments)
    worst, compared = 0.0, 0
    for user in range(0, len(history.user_ids), 3):
        begin, end = int(history.start[user]), int(history.start[user + 1])
        names = examples.profiles[history.user_ids[user]]
        profiles = np.zeros((len(history.user_ids), len(examples.segments)), np.float32)
        profiles[user, encoder.segment_numbers(names)] = 1
        with torch.no_grad():
            queries = net(make_batch(history, [(begin, end)], profiles)).numpy()
        for query, at in zip(queries, np.unique(history.time_us[begin:end]), strict=True):
            before = slice(begin, begin + int(np.searchsorted(history.time_us[begin:end], at)))
            tokens = Tokens(history.item[before], history.event_type[before], history.time_us[before])
            worst = max(worst, float(np.abs(encoder.encode(tokens, encoder.items(), names, at - 1) - query).max()))
            compared += 1
    assert compared > 200
    assert worst < 1e-4


def test_queries_of_a_batch_are_those_of_its_windows_alone(trained: Retriever, examples: Examples) -> None:
    history, net = examples.history, net_of(trained, examples)
    profiles = multi_hot(history.user_ids, examples.profiles, examples.segments)
    windows = [(int(history.start[user]), int(history.start[user + 1])) for user in (0, 3, 5)]
    with torch.no_grad():
        together = net(make_batch(history, windows, profiles))
        alone = [net(make_batch(history, [window], profiles)) for window in windows]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_labels_are_first_meetings_and_what_was_met_before_stands_outside() -> None:
    history = history_of("ann 1 tea, ann 2 cup, ann 2 tea, ann 3 pot, ann 4 jug, bob 1 pot, bob 1 cup")
    batch = make_batch(history, [(2, 5), (5, 7)], np.zeros((2, 1), np.float32))
    assert batch.visible[batch.asked].tolist() == [0, 1, 2, 0]
    labels, name = batch.labels, history.item_ids
    wanted = [(query, name[item]) for query, item in zip(labels.query.tolist(), labels.item.tolist(), strict=True)]
    # The window of ann begins amid her second moment, which therefore is not to be predicted.
    assert wanted == [(1, "pot"), (2, "jug"), (3, "cup"), (3, "pot")]
    seen = {
        (query, name[item])
        for query, item in zip(*map(Tensor.tolist, (labels.seen_query, labels.seen_item)), strict=True)
    }
    assert seen == {(0, "tea"), (0, "cup"), (1, "tea"), (1, "cup"), (2, "tea"), (2, "cup"), (2, "pot")}


def test_equal_seeds_give_equal_nets_and_others_do_not(trained: Retriever, examples: Examples) -> None:
    again, other = (train_retriever(examples, 3, seed=seed) for seed in (1, 2))
    assert all(np.array_equal(again.weights[name], trained.weights[name]) for name in ARRAYS)
    assert not np.array_equal(other.weights["item_vectors"], trained.weights["item_vectors"])


def test_the_order_of_threads_does_not_show(examples: Examples) -> None:
    once, again = (train_retriever(examples, 2, seed=1, threads=2) for _ in range(2))
    assert all(np.array_equal(once.weights[name], again.weights[name]) for name in ARRAYS)


def test_training_leaves_torch_as_it_was(examples: Examples) -> None:
    torch.manual_seed(5)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    train_retriever(examples, 1, seed=1, threads=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_training_predicts_better_than_its_start(examples: Examples) -> None:
    losses = [train_retriever(examples, epochs, seed=1).loss for epochs in (1, 12)]
    assert losses[1] < losses[0] - 0.3


def test_progress_is_told_to_the_end(examples: Examples) -> None:
    told: list[tuple[int, int, float]] = []
    train_retriever(examples, 2, seed=1, progress=lambda *step: told.append(step))
    assert [done for done, _, _ in told] == list(range(1, told[0][1] + 1))


def test_a_later_net_keeps_the_known_items_and_starts_new_ones_from_content(examples: Examples) -> None:
    history = examples.history
    past = history.before(int(np.quantile(history.time_us, 0.1)))
    assert len(past.item_ids) < len(history.item_ids)
    rows = [history.item_ids.index(item_id) for item_id in past.item_ids]
    first = train_retriever(Examples(past, examples.content[rows], examples.segments, examples.profiles), 2, seed=1)
    later = train_retriever(examples, 1, seed=1, start=first)
    assert later.item_ids == history.item_ids
    drift = np.abs(later.weights["item_vectors"][rows] - first.weights["item_vectors"]).max()
    assert 0 < drift < 0.2
    new = [n for n, item_id in enumerate(history.item_ids) if item_id not in past.item_ids]
    by_content = examples.content[new] @ later.weights["content_vectors"]
    assert np.abs(later.weights["item_vectors"][new] - by_content).max() < 0.2


def test_the_pmi_start_puts_neighbours_of_a_shelf_together() -> None:
    history = History.of(sample_events())
    vectors, _ = pmi_vectors(history, 8)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    same = np.array([[a[:5] == b[:5] for a in history.item_ids] for b in history.item_ids])
    near = unit @ unit.T
    assert near[same].mean() > near[~same].mean() + 0.3
    assert len(history.item_ids) == 3 * SHELF


def test_pauses_fall_into_the_same_bucket_a_microsecond_before() -> None:
    seconds = np.array([1, 10, 30, 60, 900, 86_400])
    assert np.array_equal(gap_bucket(seconds * 10**6), gap_bucket(seconds * 10**6 - 1))
    assert gap_bucket(0) == 0
    assert gap_bucket(10**6 * 86_400 * 365) == 14

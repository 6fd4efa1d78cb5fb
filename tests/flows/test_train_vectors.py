"""The training's last steps with Pinecone: vectors before the alias moves, old ones away after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pinecone_server import PineconeServer
from sample_shop import sample_bundle

from flows.train import publish_vectors, sweep_vectors
from infra.settings import Settings, load_settings
from models import registry
from models.bundle import Bundle
from models.index import open_index, with_bias
from models.pinecone_index import namespace_of

ALIAS = "champion"


@pytest.fixture(scope="module")
def bundles() -> list[Bundle]:
    """One model, trained on three days."""
    bundle = sample_bundle()
    return [replace(bundle, created=f"2024-01-0{day}T00:00:00+00:00") for day in (1, 2, 3)]


@pytest.fixture
def server(bundles: list[Bundle]) -> Iterator[PineconeServer]:
    with PineconeServer(with_bias(bundles[0].encoder().items()).shape[1]) as server:
        yield server


@pytest.fixture
def settings(server: PineconeServer, tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path, **server.settings(), dependency_timeout_s=5)


def register(settings: Settings, bundle: Bundle, folder: Path, tagged: bool = True) -> str:
    tags = {"bundle": bundle.version} if tagged else {}
    return registry.register(settings, bundle.save(folder / bundle.version), {}, {}, tags)


def go_live(settings: Settings, bundle: Bundle, version: str) -> None:
    previous = registry.champion(settings, ALIAS)
    registry.promote(settings, version, ALIAS)
    sweep_vectors.fn(settings, bundle, previous)


def test_the_champion_and_the_one_before_keep_their_vectors(
    server: PineconeServer, settings: Settings, bundles: list[Bundle], tmp_path: Path
) -> None:
    for n, bundle in enumerate(bundles):
        version = register(settings, bundle, tmp_path)
        publish_vectors.fn(settings, bundle)
        # Until the alias has moved the champion is served from what is there.
        assert {namespace_of(settings, each.version) for each in bundles[max(0, n - 1) : n + 1]} <= set(server.counts())
        go_live(settings, bundle, version)
    kept = {namespace_of(settings, bundle.version): len(bundle.item_ids) for bundle in bundles[1:]}
    assert server.counts() == kept
    assert len(open_index(settings, bundles[2]).search(with_bias(bundles[2].encoder().items())[0], 10)[0]) == 10


def test_nothing_is_removed_while_the_champion_before_is_not_known_or_pinecone_is_away(
    server: PineconeServer, settings: Settings, bundles: list[Bundle], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for bundle in bundles:
        publish_vectors.fn(settings, bundle)
    stranger = register(settings, bundles[0], tmp_path, tagged=False)
    registry.promote(settings, stranger, ALIAS)
    go_live(settings, bundles[1], register(settings, bundles[1], tmp_path))
    assert f"version {stranger} names no bundle" in capsys.readouterr().out
    server.failing = 403
    go_live(settings, bundles[2], register(settings, bundles[2], tmp_path))
    assert "item vectors of old models stay: Pinecone: [403]" in capsys.readouterr().out
    assert len(server.counts()) == 3


def test_with_faiss_training_asks_nobody(server: PineconeServer, bundles: list[Bundle], tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    publish_vectors.fn(settings, bundles[0])
    sweep_vectors.fn(settings, bundles[0], None)
    assert not server.requests

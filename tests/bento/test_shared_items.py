"""One item matrix for several workers: one reads Redis, the others see the same rows, and another takes over."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bento.recommender.catalog import Catalog
from bento.recommender.shared_items import SharedItems, folder_of, remove_abandoned
from feature_repo.events import Item
from feature_repo.item_table import ItemTable

CAPACITY = 500
TTL_S = 365 * 86_400.0


def worker(shop: Any, folder: Path) -> Catalog:
    """The catalogue of one more worker."""
    shared = SharedItems(folder, ("garden", "kitchen", "music"), CAPACITY)
    return Catalog(shop.store, ItemTable(("garden", "kitchen", "music"), shared.arrays), TTL_S, shared=shared)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "items"


def same_items(one: Catalog, other: Catalog) -> bool:
    a, b = one.table, other.table
    return a.ids == b.ids and a.titles == b.titles and a.labels == b.labels and np.array_equal(a.counts, b.counts)


def test_the_second_worker_sees_what_the_first_one_read(shop: Any, folder: Path) -> None:
    first, second = worker(shop, folder), worker(shop, folder)
    second_before = second.age_s()
    assert first.catch_up() == 60
    assert second.catch_up() == 60 and second_before is None
    assert same_items(first, second)
    assert second.age_s() is not None
    assert sorted(second.in_category("music").tolist()) == sorted(first.in_category("music").tolist())
    assert len(second.in_category("music")) == 20


def test_changes_reach_it_without_a_read_of_its_own(shop: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = worker(shop, folder), worker(shop, folder)
    first.catch_up()
    second.catch_up()
    reads: list[str] = []
    read = second._store.read
    monkeypatch.setattr(shop.store, "read", lambda view, ids: reads.append(view) or read(view, ids))
    shop.click("somebody", "music-3", "music-3")
    shop.put_items([Item(item_id="music-new", title="Fresh", categories=("music",), published_at=None, price=None)])
    first.catch_up()
    asked = len(reads)
    assert asked and second.catch_up() == 1 and len(reads) == asked
    assert same_items(first, second)
    assert second.table.titles[second.table.index["music-new"]] == "Fresh"
    leaders = [catalog.table.trends.best("7d", 1, np.ones(61, bool)).tolist() for catalog in (first, second)]
    assert leaders[0] == leaders[1]


def test_an_item_that_moves_to_another_category_moves_everywhere(shop: Any, folder: Path) -> None:
    first, second = worker(shop, folder), worker(shop, folder)
    first.catch_up()
    second.catch_up()
    shop.put_items([Item(item_id="music-1", title="Now a spade", categories=("garden",), published_at=None, price=1)])
    for catalog in (first, second):
        catalog.catch_up()
        number = catalog.table.index["music-1"]
        assert number in catalog.in_category("garden") and number not in catalog.in_category("music")
        assert len(catalog.in_category("unheard-of")) == 0


WRITER = """
    import sys
    from pathlib import Path
    import redis
    from bento.recommender.catalog import Catalog
    from bento.recommender.shared_items import SharedItems
    from feature_repo.item_table import ItemTable
    from feature_repo.online import OnlineStore
    from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES
    url, folder, capacity, ttl_s = sys.argv[1:]
    shared = SharedItems(Path(folder), ("garden", "kitchen", "music"), int(capacity))
    store = OnlineStore(redis.Redis.from_url(url), [ITEM_FEATURES, ITEM_CATALOG])
    table = ItemTable(("garden", "kitchen", "music"), shared.arrays)
    Catalog(store, table, float(ttl_s), shared=shared).catch_up()
    shared._names.write(b'[60,"half a li')  # what it was saying when it died
    print("level", flush=True)
    sys.stdin.read()
"""


def test_when_the_writer_is_killed_another_goes_on(settings: Any, shop: Any, folder: Path) -> None:
    arguments = [settings.redis_url, str(folder), str(CAPACITY), str(TTL_S)]
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert writer.stdout is not None and writer.stdout.readline() == "level\n"
        heir, third = worker(shop, folder), worker(shop, folder)
        assert heir.catch_up() == 60 and len(heir.table) == 60
        shop.click("somebody", "music-3")
        number = heir.table.index["music-3"]
        before = heir.table.column("event_count")[number]
        heir.catch_up()
        assert heir.table.column("event_count")[number] == before, "only the writer reads"
    finally:
        writer.kill()
        writer.wait()
    shop.put_items([Item(item_id="music-new", title="Fresh", categories=("music",), published_at=None, price=None)])
    heir.catch_up()
    third.catch_up()
    assert heir.table.column("event_count")[number] == before + 1
    assert third.table.ids[60] == "music-new" and same_items(heir, third)


def test_a_full_table_keeps_what_it_has_and_says_so(shop: Any, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    shared = SharedItems(folder, (), 10)
    catalog = Catalog(shop.store, ItemTable((), shared.arrays), TTL_S, shared=shared)
    catalog.catch_up()
    assert len(catalog.table) == 10
    assert "FRESHET_MAX_ITEMS" in caplog.text


def test_what_a_supervisor_that_is_gone_has_left_is_removed(tmp_path: Path) -> None:
    mine = folder_of(tmp_path, "release")
    SharedItems(mine, (), 10)
    gone = tmp_path / "items" / "999999999-1" / "release"
    SharedItems(gone, (), 10)
    remove_abandoned(tmp_path)
    assert mine.exists() and not gone.parent.exists()

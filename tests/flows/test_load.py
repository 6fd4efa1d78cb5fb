"""Loading a folder by the command line, through ingest and the dataflow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from feature_repo.events import Event, Item, UserProfile
from flows.dataset import write_dataset
from flows.metadata import MetadataStore
from infra.settings import Settings


def test_a_folder_is_loaded_and_loading_it_again_changes_nothing(
    settings: Settings, tmp_path: Path, make_log: Callable[[Settings], Any], start_stack: Callable[..., Any]
) -> None:
    start = datetime.now(UTC) - timedelta(days=20)
    items = [Item.model_validate({"item_id": f"i{n}", "title": f"Film {n}"}) for n in range(30)]
    users = [UserProfile(user_id=f"u{n}", segments=("gender:F",)) for n in range(20)]
    events = [
        Event(
            user_id=f"u{n % 20}",
            item_id=f"i{n % 30}",
            event_type="rate",
            value=float(n % 5),
            timestamp=start + timedelta(minutes=10 * n),
            event_id=f"e{n:05d}",
        )
        for n in range(2_500)
    ]
    folder = write_dataset(tmp_path / "set", items, users, list(reversed(events))).folder
    stack = start_stack(settings, "ingest", "stream")
    command = [sys.executable, "-m", "flows.load", "--dataset", str(folder)]
    log = make_log(stack.settings)
    for _ in range(2):
        done = subprocess.run(command, env=stack.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "30 items, 20 users, 2,500 events" in " ".join(done.stdout.split())
        # at once: the command returns when the features are there
        assert log.counts("user_features", [user.user_id for user in users]) == [125] * 20
        assert log.store.count() == 2_500
    log.expect(events)
    metadata = MetadataStore(settings.database_url)
    assert len(metadata.items()) == 30
    assert len(metadata.users()) == 20

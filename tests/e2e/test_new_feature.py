"""A new feature is one edit in state.py and one line in services.py.

Both are made in a copy of the sources, and the feature is then seen everywhere. The copy runs by its own supervisor,
on the tests' servers: dataflow, ``feast apply``, recommender.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from feature_repo import wire
from feature_repo.events import Event
from feature_repo.online import ViewCodec
from feature_repo.schema import USER_FEATURES
from flows.log_writer import Outgoing, publish
from infra.home import read_state
from infra.settings import ROOT, Settings

FEATURE = "purchase_count"
DEFINITION = f'"{FEATURE}": Feature("int64", lambda s: s.purchases, "all-time purchases"),'
STATE = {
    "    recent_us: array[int]": "    purchases: int = 0\n",
    "        time_us, item_id = event.time_us": '        self.purchases += event.event_type == "purchase"\n',
    '        "recent_items": Feature(': f"        {DEFINITION}\n",
}
SERVICES = {'                "recent_items",': f'                "{FEATURE}",\n'}

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
TYPES = ("view", "purchase", "click", "purchase")
COUNTS = [0, 1, 1, 2]
"""Purchases after each event."""

PROBE = """
import json, sys
import pandas as pd
import pyarrow.parquet as pq
from feature_repo.schema import TIMESTAMP
from feature_repo.store import open_store
from flows.backfill import write_history
from flows.event_store import open_event_store
from flows.training_set import user_rows
from infra.settings import load_settings

settings, (feature,) = load_settings(), sys.argv[1:]
events = list(open_event_store(settings.event_store_url).scan())
write_history(settings.offline_dir, events, [], [])
offline = pq.read_table(settings.offline_dir / "user_features.parquet").sort_by(TIMESTAMP)
store = open_store(settings)
view = store.get_feature_view("user_features")
moments = [pd.Timestamp(event.time_us - 1, unit="us", tz="UTC") for event in events]
pairs = pd.DataFrame({"user_id": [event.user_id for event in events], TIMESTAMP: moments})
online = store.get_online_features(
    store.get_feature_service("user_context"), [{"user_id": "ann"}, {"user_id": "nobody"}]
).to_dict()
found = {
    "feast": {field.name: [str(field.dtype), field.description] for field in view.features}.get(feature),
    "backfill": offline[feature].to_pylist(),
    "training": user_rows(store, pairs)[feature].astype(object).where(lambda column: column.notna(), None).tolist(),
    "online": dict(zip(online["user_id"], online[feature])),
}
print("found", json.dumps(found))
"""


@dataclass
class Copy:
    """Edited sources, running."""

    folder: Path
    settings: Settings
    environment: Mapping[str, str]
    ports: Mapping[str, int]

    def run(self, *command: str) -> str:
        """Output of a command, run from the copy."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def edit(path: Path, before: Mapping[str, str]) -> None:
    """Put lines before others, each of which stands there once."""
    text = path.read_text()
    for place, line in before.items():
        assert text.count(place) == 1, f"{path.name}: {place}"
        text = text.replace(place, line + place)
    path.write_text(text)


@pytest.fixture
def copy(settings: Settings, tmp_path: Path) -> Iterator[Copy]:
    """A copy of the sources with one more feature; its dataflow, recommender and applied definitions."""
    folder = tmp_path / "copy"
    for package in ("infra", "feature_repo", "models", "flows", "bento"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    edit(folder / "feature_repo" / "state.py", STATE)
    edit(folder / "feature_repo" / "services.py", SERVICES)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder), **settings.environment()}
    parts = "stream,feast,recommender"
    up = [sys.executable, "-m", "infra.local", "up", "--only", parts]
    with subprocess.Popen(up, cwd=folder, env=environment) as stack:
        try:
            ports = until(lambda: ports_of(settings, stack), 120)
            yield Copy(folder, settings, environment, ports)
        finally:
            stack.send_signal(signal.SIGTERM)
            stack.wait(60)


def ports_of(settings: Settings, stack: subprocess.Popen[bytes]) -> dict[str, int] | None:
    """Ports of the running parts, once the recommender is up."""
    assert stack.poll() is None, "the copy's stack has ended"
    state = read_state(settings)
    if not state or "recommender" not in state["parts"]:
        return None
    return {name: part["port"] for name, part in state["parts"].items()}


def until(read: Callable[[], Any], within_s: float = 60) -> Any:
    """The first true answer of ``read``; it may fail while servers come up."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            if found := read():
                return found
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


def test_one_edit_and_one_line_bring_a_feature_everywhere(copy: Copy, redis_client: Any) -> None:
    events = [
        Event.model_validate(
            {"user_id": "ann", "item_id": f"i{n}", "event_type": kind, "timestamp": START + timedelta(minutes=n)}
        )
        for n, kind in enumerate(TYPES)
    ]
    publish(copy.settings, [Outgoing(copy.settings.topic_events, b"ann", event.encode()) for event in events])

    # the stream: Redis holds it, under Feast's name for it
    key, field = ViewCodec(USER_FEATURES).key("ann"), wire.field_name(USER_FEATURES.name, FEATURE)
    until(lambda: redis_client.hget(key, field) == wire.ENCODE["int64"](COUNTS[-1]))

    # serving
    recommender = httpx.Client(base_url=f"http://127.0.0.1:{copy.ports['recommender']}", trust_env=False)
    until(lambda: recommender.get("/health").status_code == 200)
    assert recommender.get("/users/ann/features").json()["features"][FEATURE] == COUNTS[-1]
    assert recommender.get("/recommend", params={"user_id": "ann"}).status_code == 200

    # Feast's SDK; the backfill; the training frame
    found = json.loads(copy.run(sys.executable, "-c", PROBE, FEATURE).rpartition("found ")[2])
    assert found == {
        "feast": ["Int64", "all-time purchases"],
        "backfill": COUNTS,
        "training": [None, *COUNTS[:-1]],
        "online": {"ann": COUNTS[-1], "nobody": None},
    }

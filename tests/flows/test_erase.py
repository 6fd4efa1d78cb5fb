"""The erase flow with real servers: ingest, the dataflow and the eraser do the work, Prefect shows the receipt."""

import json
import time
from contextlib import closing

import psycopg
import pytest
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from feature_repo.erasures import STORES
from feature_repo.events import Event, pseudonym
from flows import loader
from flows.erase import erase
from flows.event_store import open_event_store
from flows.loader import LoadError

ERASED = "somebody-to-forget"


@pytest.fixture
def stack(in_prefect, start_stack, monkeypatch):
    """A stack that can forget, and its settings as this process's environment."""
    stack = start_stack(in_prefect, "ingest", "stream", "eraser")
    for name, value in stack.settings.environment().items():
        monkeypatch.setenv(name, value)
    return stack


def in_postgres(url, needle):
    """Tables of a database that hold a text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        names = [f'"{name}"' for (name,) in tables.fetchall()]
        found = {name: f"SELECT 1 FROM {name} AS r WHERE strpos(r::text, %s) > 0" for name in names}
        return [name for name, query in found.items() if connection.execute(query, (needle,)).fetchone()]


def test_the_receipt_is_shown_and_prefect_forgets_the_user_too(stack, prefect_server, prefect_client):
    settings = stack.settings
    event = Event(user_id=ERASED, item_id="i", event_type="click", timestamp=time.time())
    loader.Ingest(settings).call("POST", "/events", event.encode())
    with closing(open_event_store(settings.event_store_url)) as events:
        deadline = time.monotonic() + 30
        while events.count() < 1:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        state = erase(ERASED, within_s=60, return_state=True)
        assert state.is_completed(), state.message
        assert events.count() == 0
    chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    (artifact,) = prefect_client.read_artifacts(artifact_filter=chosen)
    assert [row["store"] for row in json.loads(artifact.data)] == list(STORES)
    assert artifact.description.endswith("done")
    run = prefect_client.read_flow_run(state.state_details.flow_run_id)
    assert run.parameters["user_id"] == pseudonym(ERASED)
    url = prefect_server.settings.prefect_database_url.replace("+asyncpg", "")
    assert in_postgres(url, pseudonym(ERASED))
    assert in_postgres(url, ERASED) == []


def test_what_is_not_done_in_time_names_the_stores(stack):
    stack.process("eraser").stop()
    with pytest.raises(RuntimeError, match=r"erasure \w+: .*offline_store.* not done after 0.1 s; do the dataflow"):
        erase("another", within_s=0.1)


def test_ingest_that_is_away_is_named(in_prefect, monkeypatch):
    monkeypatch.setattr(loader, "PATIENCE_S", 0.1)
    with pytest.raises(LoadError, match=r"ingest at http://127.0.0.1:0: no success"):
        erase("somebody")

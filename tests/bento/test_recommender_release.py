"""Which model answers: refused bundles, hot swaps, and a start that says what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.serving.bad_bundles import altered, other_features, saved
from infra.settings import Settings
from models import registry
from models.bundle import Bundle, BundleError


@pytest.fixture
def foreign_dir(bundle_dir: Path, tmp_path: Path) -> Path:
    """A bundle whose ranker was trained on another feature list, with hashes that fit."""
    return saved(bundle_dir, other_features, tmp_path / "foreign")


def promoted(settings: Settings, bundle_dir: Path) -> str:
    """Register a bundle and let the champion alias name it; returns the version."""
    version = registry.register(settings, bundle_dir, {}, {}, {})
    registry.promote(settings, version, settings.model_alias)
    return version


def test_a_bundle_of_another_feature_list_is_refused_at_the_start_by_name(
    settings: Settings, shop: Any, foreign_dir: Path, serve: Callable[[Settings], Any]
) -> None:
    with pytest.raises(BundleError, match=r"trained on item_falling, this code computes item_rising"):
        serve(settings.model_copy(update={"bundle_dir": foreign_dir}))


def test_an_altered_bundle_is_refused_at_the_start_by_the_files_name(
    settings: Settings, shop: Any, bundle_dir: Path, tmp_path: Path, serve: Callable[[Settings], Any]
) -> None:
    with pytest.raises(BundleError, match=r"items\.json"):
        serve(settings.model_copy(update={"bundle_dir": altered(bundle_dir, tmp_path / "altered")}))


def test_releases_follow_the_alias_without_a_failed_request_and_bad_ones_are_refused(
    *,
    settings: Settings,
    shop: Any,
    bundle_dir: Path,
    second_dir: Path,
    foreign_dir: Path,
    serve: Callable[[Settings], Any],
    eventually: Callable[..., Any],
) -> None:
    first = promoted(settings, bundle_dir)
    api = serve(settings.model_copy(update={"release_poll_s": 0.1, "canary_share": 0.0}))
    assert api.get("/model").json()["registered_version"] == first
    stream = Requests(str(api.base_url))

    def serving(version: str) -> bool:
        return bool(api.get("/model").json()["registered_version"] == version)

    second = promoted(settings, second_dir)
    eventually(lambda: serving(second), within_s=20)
    bad = promoted(settings, foreign_dir)
    refused = eventually(lambda: api.get("/model").json()["refused"], within_s=20)
    assert "item_falling" in refused[bad] and serving(second) and api.get("/ready").status_code == 200
    eventually(lambda: registry.champion(settings, settings.model_alias) == second, within_s=20)
    assert api.get("/model").json()["previous"]["registered_version"] == first
    registry.promote(settings, first, settings.model_alias)
    eventually(lambda: serving(first), within_s=20)
    expected = [Bundle.load(path).version for path in (bundle_dir, second_dir, bundle_dir)]
    eventually(lambda: stream.version() == expected[-1], within_s=20)
    answers = stream.stop()
    versions = [answer["model_version"] for answer in answers]
    changes = [version for n, version in enumerate(versions) if n == 0 or version != versions[n - 1]]
    assert changes == expected
    assert all(answer["fallback"] is None and answer["count"] == 10 for answer in answers)
    metrics = api.get("/metrics").text
    assert "freshet_recommender_model_refused_total 1.0" in metrics
    assert "freshet_recommender_model_swaps_total 3.0" in metrics
    assert f'version="{expected[0]}"' in metrics and f'version="{expected[1]}"' not in metrics


def test_an_mlflow_that_is_away_shows_in_the_metrics_and_delays_no_answer(
    settings: Settings, shop: Any, serve: Callable[[Settings], Any], eventually: Callable[..., Any]
) -> None:
    away = {"mlflow_tracking_uri": "http://127.0.0.1:1", "release_poll_s": 0.05}
    api = serve(settings.model_copy(update=away))
    eventually(lambda: 'dependency_up{dependency="mlflow"} 0.0' in api.get("/metrics").text, within_s=60)
    answer = api.get("/recommend?user_id=user-1").json()
    assert answer["fallback"] == "popular" and answer["took_ms"] < 1_000


class Requests(threading.Thread):
    """Asks without a pause; every answer must be a 200."""

    def __init__(self, base_url: str) -> None:
        super().__init__(daemon=True)
        self._client = httpx.Client(base_url=base_url, timeout=10)
        self._stop_asking = threading.Event()
        self._answers: list[dict[str, Any]] = []
        self._failures: list[str] = []
        self.start()

    def run(self) -> None:
        while not self._stop_asking.is_set():
            try:
                response = self._client.get("/recommend?user_id=user-1")
                response.raise_for_status()
                self._answers.append(response.json())
            except httpx.HTTPError as error:
                self._failures.append(str(error))

    def version(self) -> str:
        """The model of the last answer."""
        return str(self._answers[-1]["model_version"])

    def stop(self) -> list[dict[str, Any]]:
        """Every answer so far."""
        self._stop_asking.set()
        self.join(10)
        assert not self._failures and len(self._answers) > 20
        return self._answers


def test_the_served_process_ends_and_names_the_field(
    settings: Settings, shop: Any, foreign_dir: Path, tmp_path: Path
) -> None:
    started = settings.model_copy(update={"bundle_dir": foreign_dir}).environment()
    command = [sys.executable, "-m", "bentoml", "serve", "bento.recommender.service:Recommender", "--port", "0"]
    ended = subprocess.run(
        command,
        env={**_clean_environment(), **started, "BENTOML_HOME": str(tmp_path / "bentoml")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith('{"ts"')]
    critical = [line["message"] for line in lines if line["level"] == "CRITICAL"]
    assert critical and "item_falling" in critical[0] and "does not start" in critical[0]


def test_the_service_runs_under_bentoml(
    settings: Settings, shop: Any, bundle_dir: Path, start_stack: Callable[..., Any]
) -> None:
    stack = start_stack(settings.model_copy(update={"bundle_dir": bundle_dir}), "recommender")
    base = f"http://{stack.settings.host}:{stack.settings.recommender_port}"
    until = time.monotonic() + 60
    while httpx.get(f"{base}/ready").status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert httpx.get(f"{base}/recommend?user_id=user-1").json()["fallback"] is None
    assert httpx.get(f"{base}/nowhere").json()["error"]["code"] == "not_found"
    assert httpx.get(f"{base}/docs").status_code == 200
    assert "freshet_recommender_requests_total" in httpx.get(f"{base}/metrics").text


def _clean_environment() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name not in Settings.variables()}

"""The sample shop with people, mistakes and faults, and a real Prometheus that looks at it with our rules."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml
from confluent_kafka import Producer
from page_stack import ADMIN_KEY, Shop, address, shop_stack, wait_for

from infra.processes import free_ports, script
from infra.servers import answers
from infra.settings import ROOT, Settings
from infra.telemetry import THIRD_PARTIES_OFF
from models import registry
from models.drift_store import DriftReport, DriftStore
from models.experiment_store import ExperimentStore
from models.experiments import Experiment

RULES = sorted((ROOT / "infra" / "observability" / "rules").glob("*.yml"))
PORTS = {8000: "ingest", 8001: "recommender", 8080: "console", 9101: "stream_metrics", 9121: "outcomes_metrics"}
"""Ports of `make up`, and the parts that have them."""

EXPERIMENT = {
    "name": "calm-lists",
    "variants": [
        {"name": "control", "share": 0.5},
        {"name": "diverse", "share": 0.5, "rules": {"diversity": 0.3}},
        {"name": "before", "model": "previous", "shadow": True},
    ],
}


@contextmanager
def watched_shop(folder: Path) -> Iterator[tuple[Shop, Prometheus]]:
    """The shop's services, seen through people, mistakes and faults; the broker is away by now, all else is up."""
    with (
        prefect(folder) as api,
        shop_stack(folder, prefect_api_url=api) as stack,
        prometheus(stack, folder) as seen,
    ):
        with closing(ExperimentStore(stack.settings.database_url)) as experiments:
            experiments.put(Experiment.model_validate(EXPERIMENT))
        town = Town(stack)
        town.live()
        run_flows(stack.settings)
        wait_for(
            lambda: bool(seen.query('freshet_lifecycle_known{source="prefect"} == 1 and on () freshet_drift_share > 0'))
        )
        with stack.without("kafka"):
            assert town.act("user-0", "garden-1") == 503
            wait_for(lambda: bool(seen.query('freshet_ingest_requests_total{status="503",route="/events"}')))
            yield stack, seen


def run_flows(settings: Settings) -> None:
    """What a night leaves behind: runs in Prefect, some of them failed, a word of the gate, a look for drift."""
    wait_for(lambda: answers(f"{settings.prefect_api_url}/health"), 300)
    with httpx.Client(base_url=settings.prefect_api_url, trust_env=False, timeout=30) as client:
        for name, state in (
            ("train", "COMPLETED"),
            ("train", "FAILED"),
            ("drift", "COMPLETED"),
            ("materialize", "CRASHED"),
        ):
            flow = client.post("/flows/", json={"name": name}).raise_for_status().json()["id"]
            run = client.post("/flow_runs/", json={"flow_id": flow}).raise_for_status().json()["id"]
            for kind in ("RUNNING", state):
                said = {"state": {"type": kind}, "force": True}
                client.post(f"/flow_runs/{run}/set_state", json=said).raise_for_status()
    version = registry.champion(settings, settings.model_alias)
    assert version is not None
    registry.annotate(settings, version, {"gate": "passed"}, "")
    columns = {"clicks_1h": {"distance": 0.3, "threshold": 0.1, "drifted": True, "counts": True}}
    with closing(DriftStore(settings.database_url)) as reports:
        reports.add(DriftReport(datetime.now(UTC), version, "drift", "one of two", 900, 0.5, columns))


@contextmanager
def prefect(folder: Path) -> Iterator[str]:
    """Prefect's server; it comes up, which takes a while, beside all else."""
    (port,) = free_ports("127.0.0.1", 1)
    command = [script("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    own = os.environ | THIRD_PARTIES_OFF | {"PREFECT_HOME": str(folder / "prefect")}
    with (
        (folder / "prefect.log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=own) as process,
    ):
        try:
            yield f"http://127.0.0.1:{port}/api"
        finally:
            process.terminate()


class Prometheus:
    """A running Prometheus, by its HTTP API."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/api/v1", trust_env=False, timeout=30)
        self._series: dict[str, list[dict[str, str]]] = {}

    def series(self, name: str) -> list[dict[str, str]]:
        """The labels of all series of a metric, as they were when it was first asked for."""
        if name not in self._series:
            self._series[name] = list(self._get("series", **{"match[]": f'{{__name__="{name}"}}'}))
        return self._series[name]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The value of now."""
        return list(self._get("query", query=expression)["result"])

    def is_up(self) -> bool:
        """Whether it has reached every target."""
        try:
            return [each["value"][1] for each in self.query("up")] == ["1"] * 5
        except httpx.HTTPError:
            return False

    def _get(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(path, params=parameters)
        if answer.status_code == 503:  # it reads its own files still
            answer.raise_for_status()
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@contextmanager
def prometheus(stack: Shop, folder: Path) -> Iterator[Prometheus]:
    """Prometheus with our rules, looking at this stack twice a second."""
    targets = {name.partition("_")[0]: address(stack, name).partition("//")[2] for name in PORTS.values()}
    jobs = [{"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()]
    jobs[list(targets).index("console")]["metrics_path"] = "/api/console/metrics"
    often = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"}
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"global": often, "rule_files": list(map(str, RULES)), "scrape_configs": jobs}))
    (port,) = free_ports(stack.settings.host, 1)
    where = f"{stack.settings.host}:{port}"
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder}",
        f"--web.listen-address={where}",
    ]
    with (folder / "prometheus.log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            running = Prometheus(f"http://{where}")
            wait_for(running.is_up)
            yield running
        finally:
            process.terminate()


class Town:
    """Who uses the shop, rightly or wrongly, and what breaks meanwhile."""

    def __init__(self, stack: Shop) -> None:
        self._stack = stack
        self._client = httpx.Client(trust_env=False, timeout=30)

    def live(self) -> None:
        """All of it."""
        self.lose_ingest()
        self.change_the_model()
        self.visit(60)
        self.make_mistakes()
        self.lose_redis()
        self.lose_postgres()
        self.visit(20)
        wait_for(lambda: "freshet_experiment_difference{" in self.metrics("outcomes_metrics"))

    def visit(self, users: int) -> None:
        """Each looks at a list and its next page, and clicks."""
        for n in range(users):
            user = f"user-{n}"
            shown = self.list_of(user)
            self.list_of(user, recommendation_id=shown["recommendation_id"], offset=5)
            self.list_of(user)
            self.act(user, shown["recommendations"][0]["item_id"], recommendation_id=shown["recommendation_id"])

    def make_mistakes(self) -> None:
        """A body that is none, an act of long ago, messages that are none, somebody nobody knows, an unknown item."""
        self._client.post(f"{self._at('ingest')}/events", content=b"{")
        self.act("user-1", "garden-1", timestamp=time.time() - 5 * 86_400)
        self.list_of("a-stranger")
        self._client.get(f"{self._at('recommender')}/items/nothing/features")
        producer = Producer({"bootstrap.servers": self._stack.settings.kafka_bootstrap_servers})
        for topic in (self._stack.settings.topic_events, self._stack.settings.topic_impressions):
            producer.produce(topic, b"{")
        producer.flush(10)
        for part in ("stream_metrics", "outcomes_metrics"):
            self.until(part, r'dead_letters_total\{reason="\w+"\} [1-9]')

    def change_the_model(self) -> None:
        """Back to the one before, and forth again by way of a canary."""
        key, where = {"x-api-key": ADMIN_KEY}, self._at("recommender")
        serves = self._client.get(f"{where}/model").json()
        back = self._client.post(f"{where}/model/rollback", json={"reason": "to see it"}, headers=key)
        assert back.status_code == 200, (back.text, serves)
        left = back.json()["left"]
        wait_for(lambda: self._client.get(f"{where}/model").json() != serves)
        forth = self._client.post(f"{where}/model/promote", json={"version": left}, headers=key)
        assert forth.status_code == 200, forth.text
        self.until("recommender", r"canary_info\{version=")

    def lose_ingest(self) -> None:
        """The page notices."""
        with self._stack.without("ingest"):
            self._client.get(f"{self._at('console')}/api/ingest/health")
        wait_for(lambda: self.status(f"{self._at('ingest')}/ready") == 200)

    def lose_redis(self) -> None:
        """Lists go on; rows wait."""
        with self._stack.without("redis"):
            for n in range(5):
                self.list_of(f"user-{n}")
            self._client.get(f"{self._at('recommender')}/users/user-1/features")
            self.act("user-1", "garden-1")
            self.until("stream_metrics", r'sink_retries_total\{sink="\w+"\} [1-9]')
        wait_for(lambda: self.list_of("user-1")["fallback"] is None)

    def lose_postgres(self) -> None:
        """What came of lists waits."""
        with self._stack.without("postgres"):
            shown = self.list_of("user-2")
            self.act("user-2", "garden-2", recommendation_id=shown["recommendation_id"])
            self.until("outcomes_metrics", r'sink_retries_total\{sink="\w+"\} [1-9]')

    def list_of(self, user: str, **query: Any) -> dict[str, Any]:
        answer = self._client.get(f"{self._at('recommender')}/recommend", params={"user_id": user, "k": 5, **query})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def act(self, user: str, item: str, **fields: Any) -> int:
        event = {"user_id": user, "item_id": item, "event_type": "click", **fields}
        return self._client.post(f"{self._at('ingest')}/events", json=event).status_code

    def status(self, url: str) -> int:
        try:
            return self._client.get(url).status_code
        except httpx.HTTPError:
            return 0

    def metrics(self, part: str) -> str:
        return self._client.get(f"{self._at(part)}/metrics").text

    def until(self, part: str, pattern: str) -> None:
        """Wait until a part's metrics say so."""
        wait_for(lambda: re.search(pattern, self.metrics(part)) is not None)

    def _at(self, part: str) -> str:
        return address(self._stack, part)

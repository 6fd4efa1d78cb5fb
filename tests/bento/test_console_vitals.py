"""How the system is: samples of the services' own metrics over HTTP."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bento.console import parts
from bento.console.schemas import VitalsAnswer
from bento.console.vitals import NAMES, Vitals
from bento.ingest.metrics import IngestMetrics
from bento.recommender.metrics import Metrics
from flows.outcome_metrics import OutcomeMetrics
from flows.stream_metrics import StreamMetrics
from infra.processes import free_ports, is_free
from infra.settings import Settings, any_ports
from tests.bento.console_server import served

pytest_plugins = ["tests.bento.console_fixtures"]

PARTS = ("ingest", "recommender", "stream", "outcomes")


class MetricsPage:
    """An ASGI application that gives a registry in Prometheus' text format, or whatever it is told to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.status, self.text = 200, ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = self.text.encode() or generate_latest(self.registry)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": body})


class System:
    """The real metrics of every part, each on a page of its own; the stream has two processes."""

    def __init__(self, home: Settings) -> None:
        stream = next(port for port in free_ports("127.0.0.1", 50) if is_free("127.0.0.1", port + 1))
        ports = dict(zip(("ingest_port", "recommender_port", "outcomes_metrics_port"), _others(stream), strict=True))
        own = any_ports() | ports | {"stream_metrics_port": stream, "stream_processes": 2}
        self.settings = home.model_copy(update=own)
        self.ingest, self.recommender, self.outcomes = IngestMetrics(), Metrics(), OutcomeMetrics()
        self.stream = [StreamMetrics(), StreamMetrics()]
        registries = [self.ingest, self.recommender, *self.stream, self.outcomes]
        urls = [url for urls in self.settings.metrics_urls().values() for url in urls]
        self.pages = {
            httpx.URL(url).port: MetricsPage(part.registry) for url, part in zip(urls, registries, strict=True)
        }
        self._running: dict[int, ExitStack] = {}

    def start(self, *ports: int) -> None:
        for port in ports or self.pages:
            self._running[port] = ExitStack()
            self._running[port].enter_context(served(self.pages[port], port=port))

    def stop(self, *ports: int) -> None:
        for port in ports or tuple(self._running):
            self._running.pop(port).close()


def _others(taken: int) -> list[int]:
    return [port for port in free_ports("127.0.0.1", 5) if port not in (taken, taken + 1)][:3]


@pytest.fixture
def system(home: Settings) -> Iterator[System]:
    running = System(home)
    running.start()
    yield running
    running.stop()


@contextmanager
def sampling(settings: Settings) -> Iterator[Callable[[], dict[str, Any]]]:
    """A function that takes a sample and gives the answer."""
    looked = Vitals(settings)
    with asyncio.Runner() as runner:
        client = httpx.AsyncClient(timeout=parts.TIMEOUT_S, trust_env=False)

        def sample() -> dict[str, Any]:
            runner.run(looked.sample(client))
            answer: dict[str, Any] = json.loads(looked.answer())
            VitalsAnswer.model_validate(answer)
            return answer

        yield sample
        runner.run(client.aclose())


def test_every_name_that_is_read_is_one_that_a_service_tells(home: Settings) -> None:
    system = System(home)
    told = {
        metric.name + ("_total" if metric.type == "counter" else "_bucket" if metric.type == "histogram" else "")
        for page in system.pages.values()
        for metric in page.registry.collect()
    }
    assert told >= NAMES


def test_what_the_services_count_becomes_curves(system: System) -> None:
    with sampling(system.settings) as sample:
        first = sample()
        assert [target["up"] for target in first["current"]["targets"].values()] == [True] * 4
        assert first["current"]["events_per_s"] is None, "there is nothing to compare with yet"
        system.ingest.events.labels("click").inc(50)
        for n in range(20):
            system.recommender.count("/recommend", 200, 0.004)
            system.stream[n % 2].freshness.labels("user_features").observe(0.02)
        system.recommender.fallbacks.labels("popular").inc(5)
        system.stream[0].dead.labels("json").inc(2)
        system.outcomes.dead.labels("json").inc(1)
        system.stream[0].tell_lag("events", 0, 5, 0.1)
        system.stream[1].tell_lag("events", 1, 6, 0.4)
        second = sample()
    now, series = second["current"], second["series"]
    assert now["events_per_s"] > 0 and now["requests_per_s"] > 0 and now["dead_per_s"] > 0
    assert now["events_per_s"] == pytest.approx(2.5 * now["requests_per_s"], rel=0.5)
    assert 0 < now["latency_p50_ms"] <= now["latency_p99_ms"] <= 5
    assert 10 <= now["freshness_p50_ms"] <= now["freshness_p99_ms"] <= 20
    assert (now["fallback_share"], now["fallbacks"]) == (0.25, {"popular": 0.25})
    assert (now["lag_messages"], now["lag_s"]) == (11.0, 0.4)
    assert (now["dead_total"], now["dead_by_reason"]) == (3, {"json": 3})
    for name, points in series.items():
        (then, before), (at, value) = points
        assert at > then and value == now[name], name
        assert before is None or name in ("lag_messages", "lag_s"), name


def test_a_part_that_is_away_leaves_a_gap_and_comes_back(system: System) -> None:
    port = system.settings.ingest_port
    with sampling(system.settings) as sample:
        system.ingest.events.labels("click").inc(1_000)
        sample()
        system.ingest.events.labels("click").inc(5)
        assert sample()["current"]["events_per_s"] > 0
        system.stop(port)
        system.recommender.count("/recommend", 200, 0.004)
        away = sample()["current"]
        assert away["events_per_s"] is None
        assert away["requests_per_s"] > 0, "the others go on"
        assert away["targets"]["ingest"]["up"] is False
        assert f":{port}/metrics: " in away["targets"]["ingest"]["error"]
        system.pages[port].registry = (new := IngestMetrics()).registry  # it has started anew, from 0
        new.events.labels("click").inc(3)
        system.start(port)
        back = sample()
        assert back["current"]["targets"]["ingest"] == {
            "up": True,
            "url": away["targets"]["ingest"]["url"],
            "error": None,
        }
        assert 0 < back["current"]["events_per_s"] < math.inf
        assert [value is None for _, value in back["series"]["events_per_s"]] == [True, False, True, False]


class Names:
    """Leads a name to addresses, as a headless Service does; other names go to the system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.addresses: list[str] = []
        system = socket.getaddrinfo

        def look_up(host: str, *rest: Any, **more: Any) -> Any:
            if host != name:
                return system(host, *rest, **more)
            if not self.addresses:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [found for address in self.addresses for found in system(address, *rest, **more)]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        monkeypatch.setattr(parts, "RESOLVED_S", 0.0)


def test_a_name_stands_for_every_process_behind_it(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    names, port = Names(monkeypatch, "pods.example"), system.settings.recommender_port
    settings = system.settings.model_copy(
        update={"recommender_metrics_urls": f"http://pods.example:{port}/metrics"},
    )
    other = Metrics()
    with served(MetricsPage(other.registry), port=port, host="127.0.0.2"), sampling(settings) as sample:
        nobody = sample()["current"]["targets"]["recommender"]
        assert nobody["up"] is False and "pods.example leads to no address" in nobody["error"]
        names.addresses = ["127.0.0.1"]
        system.recommender.shed.labels("queue").inc(3)
        other.shed.labels("queue").inc(40)
        assert sample()["current"]["shed_total"] == 3
        names.addresses.append("127.0.0.2")  # scaled up
        assert sample()["current"]["shed_total"] == 43
        system.recommender.count("/recommend", 200, 0.004)
        for _ in range(9):
            other.count("/recommend", 200, 0.004)
        both = sample()["current"]
        assert both["requests_per_s"] > 0
        assert both["targets"]["recommender"] == {"up": True, "url": settings.recommender_metrics_urls, "error": None}
        names.addresses.remove("127.0.0.1")  # scaled down
        other.count("/recommend", 200, 0.004)
        gone = sample()["current"]
        assert (gone["shed_total"], gone["targets"]["recommender"]["up"]) == (40, True)
        assert gone["requests_per_s"] > 0, "no gap, and none of the counters has jumped"


def test_a_name_server_that_is_away_changes_nothing(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, "pods.example")
    port = system.settings.ingest_port
    with sampling(system.settings.model_copy(update={"ingest_url": f"http://pods.example:{port}"})) as sample:
        names.addresses = ["127.0.0.1"]
        assert sample()["current"]["targets"]["ingest"]["up"] is True

        def away(*_: Any, **__: Any) -> None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        monkeypatch.setattr(socket, "getaddrinfo", away)
        assert sample()["current"]["targets"]["ingest"]["up"] is True


def test_half_a_stream_says_nothing(system: System) -> None:
    second = system.settings.stream_metrics_port + 1
    with sampling(system.settings) as sample:
        system.stream[0].tell_lag("events", 0, 5, 0.1)
        assert sample()["current"]["lag_messages"] == 5.0
        system.stop(second)
        half = sample()["current"]
        assert (half["lag_messages"], half["dead_total"], half["rebuilding"]) == (None, None, None)
        assert half["targets"]["stream"]["up"] is False
        system.start(second)
        assert sample()["current"]["lag_messages"] == 5.0


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [(500, "oh no", "500"), (200, "freshet_ingest_events_total{", "could not convert"), (404, "", "404")],
)
def test_a_page_that_makes_no_sense_is_away(system: System, status: int, text: str, error: str) -> None:
    page = system.pages[system.settings.ingest_port]
    page.status, page.text = status, text
    with sampling(system.settings) as sample:
        told = sample()["current"]["targets"]
        assert told["ingest"]["up"] is False and error in told["ingest"]["error"]
        assert told["recommender"]["up"] is True
        page.status, page.text = 200, ""
        assert sample()["current"]["targets"]["ingest"]["up"] is True


def test_a_page_that_drips_holds_nobody_up(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "TIMEOUT_S", 0.5)
    port = system.settings.ingest_port
    ended: list[bool] = []

    async def drips(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not ended:
            await send({"type": "http.response.body", "body": b"# more\n", "more_body": True})
            await asyncio.sleep(0.05)

    system.stop(port)
    system.pages[port] = drips  # type: ignore[assignment]
    system.start(port)
    with sampling(system.settings) as sample:
        told = sample()["current"]["targets"]
        ended.append(True)
    assert (told["ingest"]["up"], told["recommender"]["up"]) == (False, True)
    assert "TimeoutError" in told["ingest"]["error"]


def test_the_real_recommender_is_read(home: Settings, steady_api: httpx.Client) -> None:
    with sampling(home.model_copy(update={"recommender_port": steady_api.base_url.port})) as sample:
        sample()
        for _ in range(3):
            assert steady_api.get("/recommend", params={"user_id": "user-1", "k": 3}).status_code == 200
        now = sample()["current"]
    assert now["targets"]["recommender"]["up"] is True
    assert now["requests_per_s"] > 0
    assert 0 < now["latency_p50_ms"] <= now["latency_p99_ms"]
    assert set(now["dependencies"]) >= {"redis"}
    assert now["items"] >= 0


def test_the_console_samples_by_itself(console: httpx.Client, eventually: Callable[..., Any]) -> None:
    answer = console.get("/api/console/vitals")
    assert answer.headers["content-type"] == "application/json"
    first = VitalsAnswer.model_validate_json(answer.content)
    assert set(first.current.targets) == set(PARTS)
    eventually(lambda: VitalsAnswer.model_validate_json(console.get("/api/console/vitals").content).now > first.now, 30)

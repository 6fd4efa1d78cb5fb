"""``make demo``: the whole loop on real data in a throw-away folder, told as tables.

``make demo-remote`` (``--against-running``) plays the same visitors against a system that runs already, wherever it is:
by FRESHET_INGEST_URL and FRESHET_RECOMMENDER_URL, with FRESHET_API_KEY where one is asked for. It starts, loads and
trains nothing; the visitors' acts stay in that system's log.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from infra.firstrun import first_run
from infra.processes import StackError
from infra.settings import Settings, SettingsError, any_ports, load_settings
from infra.stack import Stack

CLICKS = 5
ROUND_TRIPS = 200
K = 10
PATIENCE_S = 10.0
STATES = ("frozen", "live")

console = Console()


class DemoError(RuntimeError):
    """The loop did not do what it promises."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.demo", description=__doc__)
    parser.add_argument("--against-running", action="store_true", help="the system of the settings' URLs; starts none")
    started = time.monotonic()
    try:
        if parser.parse_args(arguments).against_running:
            _against(load_settings(), started)
        else:
            _in_a_stack_of_its_own(started)
    except (StackError, DemoError, SettingsError, httpx.HTTPError) as error:
        console.print(f"[red]demo failed:[/red] {escape(str(error))}")
        return 1
    return 0


def _in_a_stack_of_its_own(started: float) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="freshet-demo-", ignore_cleanup_errors=True) as home,
        Stack(load_settings(home=Path(home), **any_ports()), say=console.print) as stack,
    ):
        _lap(started, "servers and services are up")
        first_run(stack)
        _lap(started, "data loaded, model trained and promoted")
        with _Visitor(stack.settings) as visitor:
            _play(visitor)
        _lap(started, "done; stopping everything")
    _lap(started, "stopped")


def _against(settings: Settings, started: float) -> None:
    with _Visitor(settings) as visitor:
        visitor.check_both()
        _lap(started, f"{visitor.recommender} and {visitor.ingest} answer")
        _play(visitor)
    _lap(started, "done")


def _lap(started: float, what: str) -> None:
    console.print(f"[dim]{time.monotonic() - started:6.1f} s[/dim]  {what}")


def _play(visitor: _Visitor) -> None:
    visitor.wait_until_personal()
    genre, before, after, waited_ms = _five_clicks(visitor)
    round_trips = _round_trips(visitor)
    console.print(_metrics_table(visitor.model()))
    console.print(_before_after_table(visitor, genre, before, after))
    console.print(_latency_table(waited_ms, round_trips, visitor.request_ms))
    if visitor.share(genre, after) <= visitor.share(genre, before):
        raise DemoError(f"the share of {genre} did not rise")


def _five_clicks(visitor: _Visitor) -> tuple[str, dict[str, Any], dict[str, Any], float]:
    """A new visitor before any click and after five on films of the genre least seen in his list."""
    user = f"visitor-{uuid.uuid4().hex[:8]}"
    before = visitor.recommend(user)
    if before["fallback"] is None:
        raise DemoError("an unknown visitor must be told that he gets a fallback")
    genre = visitor.rarest_genre(before)
    films = visitor.popular(genre, CLICKS)
    for film in films[:-1]:
        visitor.click(user, film)
    waited_ms, after = visitor.click_and_wait(user, films[-1])
    return genre, before, after, waited_ms


def _round_trips(visitor: _Visitor) -> list[float]:
    """Milliseconds from an accepted click to the first answer that knows it; twenty visitors, ten clicks each."""
    times = []
    users = [f"visitor-{uuid.uuid4().hex[:8]}" for _ in range(ROUND_TRIPS // 10)]
    for n in track(range(ROUND_TRIPS), "round trips           ", console=console):
        user = users[n % len(users)]
        shown = visitor.recommend(user)["recommendations"]
        times.append(visitor.click_and_wait(user, shown[0]["item_id"])[0])
    return times


class _Visitor:
    """A person with a browser: speaks to both services over HTTP only."""

    def __init__(self, settings: Settings) -> None:
        key = {"x-api-key": settings.own_key} if settings.own_key else {}
        self.ingest, self.recommender = settings.service_url("ingest"), settings.service_url("recommender")
        self._ingest = httpx.Client(base_url=self.ingest, headers=key, trust_env=False)
        self._answers = httpx.Client(base_url=self.recommender, headers=key, trust_env=False)
        self._categories: dict[str, list[str]] = {}
        self.request_ms: list[float] = []

    def __enter__(self) -> _Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._ingest.close()
        self._answers.close()

    def _get(self, path: str, **params: str | int) -> Any:
        started = time.perf_counter()
        answer = self._answers.get(path, params=params).raise_for_status()
        if path == "/recommend":
            self.request_ms.append(1e3 * (time.perf_counter() - started))
        return answer.json()

    def check_both(self) -> None:
        """Whether the system can be visited. Raises DemoError with what is to be done."""
        for url, client in ((self.ingest, self._ingest), (self.recommender, self._answers)):
            try:
                client.get("/health").raise_for_status()
            except httpx.HTTPError as error:
                raise DemoError(
                    f"{url} does not answer ({error}): start a system (make up), or say where one is by "
                    "FRESHET_INGEST_URL and FRESHET_RECOMMENDER_URL"
                ) from None
        answer = self._answers.get("/model")
        if answer.status_code != 200 or not answer.json().get("metrics"):
            raise DemoError(
                f"the recommender at {self.recommender} has no model: load data and train one first, by make load and "
                "make train, or in a cluster by `prefect deployment run load/freshet --watch` and "
                "`prefect deployment run train/freshet --watch`"
            )

    def wait_until_personal(self) -> None:
        """Until the champion serves."""
        until = time.monotonic() + 60
        while self._answers.get("/ready").status_code != 200:
            if time.monotonic() > until:
                raise DemoError(f"the recommender is not ready: {self._answers.get('/ready').text}")
            time.sleep(0.2)

    def recommend(self, user: str) -> dict[str, Any]:
        return dict(self._get("/recommend", user_id=user, k=K))

    def model(self) -> dict[str, Any]:
        return dict(self._get("/model"))

    def categories(self, item_id: str) -> list[str]:
        """What the catalogue says of an item."""
        if item_id not in self._categories:
            features = self._get(f"/items/{item_id}/features")["features"]
            self._categories[item_id] = list(features["categories"])
        return self._categories[item_id]

    def rarest_genre(self, answer: dict[str, Any]) -> str:
        """The genre that is rarest in an answer among those with enough popular films to click."""
        top = [entry["item_id"] for entry in self._get("/popular", k=200)["recommendations"]]
        genres: dict[str, int] = {}
        for item_id in top:
            for genre in self.categories(item_id):
                genres[genre] = genres.get(genre, 0) + 1
        enough = [genre for genre, films in genres.items() if films >= 4 * CLICKS]
        if not enough:
            raise DemoError(f"no category has {4 * CLICKS} popular items: there is too little to click on")
        shown = [genre for entry in answer["recommendations"] for genre in self.categories(entry["item_id"])]
        return min(enough, key=lambda genre: (shown.count(genre), -genres[genre]))

    def share(self, genre: str, answer: dict[str, Any]) -> float:
        """The part of an answer that is of a genre."""
        ids = _ids(answer)
        return sum(genre in self.categories(item_id) for item_id in ids) / len(ids)

    def label(self, entry: dict[str, Any], genre: str) -> str:
        """A film's title, marked when it is of a genre."""
        mark = "[bold green]*[/bold green] " if genre in self.categories(entry["item_id"]) else "  "
        return mark + escape(entry.get("title") or entry["item_id"])

    def popular(self, genre: str, k: int) -> list[str]:
        """Ids of the most popular films of a genre."""
        return [entry["item_id"] for entry in self._get("/popular", k=k, category=genre)["recommendations"]]

    def click(self, user: str, item_id: str) -> float:
        """Returns the event's time in milliseconds since the epoch."""
        moment = datetime.now(UTC)
        event = {"user_id": user, "item_id": item_id, "event_type": "click", "timestamp": moment.isoformat()}
        self._ingest.post("/events", json=event).raise_for_status()
        return 1e3 * moment.timestamp()

    def click_and_wait(self, user: str, item_id: str) -> tuple[float, dict[str, Any]]:
        """Click, then ask until the answer knows it. Returns (milliseconds since the 201, that answer)."""
        event_ms = self.click(user, item_id)
        accepted = time.perf_counter()
        while time.perf_counter() - accepted < PATIENCE_S:
            answer = self.recommend(user)
            if _row_ms(answer) >= event_ms - 1 and item_id not in _ids(answer):
                return 1e3 * (time.perf_counter() - accepted), answer
        raise DemoError(f"{PATIENCE_S:.0f} s after a click on {item_id} the recommendations of {user} do not know it")


def _ids(answer: dict[str, Any]) -> list[str]:
    return [entry["item_id"] for entry in answer["recommendations"]]


def _row_ms(answer: dict[str, Any]) -> float:
    """Event time of the features behind an answer, milliseconds since the epoch; 0 for a fallback."""
    if answer["feature_age_ms"] is None:
        return 0.0
    return 1e3 * datetime.fromisoformat(answer["timestamp"]).timestamp() - float(answer["feature_age_ms"])


def _before_after_table(visitor: _Visitor, genre: str, before: dict[str, Any], after: dict[str, Any]) -> Table:
    table = Table(title=f"A new visitor, before any click and after {CLICKS} clicks on {genre} films")
    for column, width in (("", 2), (f"before ({before['fallback']})", 26), ("after (personal)", 26), ("source", 12)):
        table.add_column(column, no_wrap=True, overflow="ellipsis", width=width)
    rows = zip(before["recommendations"], after["recommendations"], strict=False)
    for n, (old, new) in enumerate(rows, start=1):
        table.add_row(str(n), visitor.label(old, genre), visitor.label(new, genre), new["source"])
    shares = [f"{100 * visitor.share(genre, answer):.0f} % {genre}" for answer in (before, after)]
    table.add_section()
    table.add_row("", *shares, "")
    return table


def _latency_table(waited_ms: float, round_trips: Sequence[float], requests: Sequence[float]) -> Table:
    table = Table(title="Milliseconds")
    for column in ("what", "p50", "p99", "n"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("visitor's 5th click accepted -> changed answer", f"{waited_ms:.1f}", "", "1")
    for name, times in (("click accepted -> changed answer", round_trips), ("GET /recommend over HTTP", requests)):
        cuts = statistics.quantiles(times, n=100)
        table.add_row(name, f"{cuts[49]:.1f}", f"{cuts[98]:.1f}", str(len(times)))
    return table


def _metrics_table(model: dict[str, Any]) -> Table:
    """Every system in its two states: metrics are named ``state.system.metric``."""
    metrics: dict[str, float] = model["metrics"]
    table = Table(title=f"Model {model['model_version']}, last 10 % of time, all items ranked")
    for column in ("system", "NDCG@10\nfrozen", "\nlive", "Recall@50\nfrozen", "\nlive"):
        table.add_column(column, justify="left" if column == "system" else "right", no_wrap=True)
    systems = {name.split(".")[1] for name in metrics}
    for system in sorted(systems, key=lambda name: metrics[f"live.{name}.ndcg_at_10"]):
        figures = [metrics[f"{state}.{system}.{m}"] for m in ("ndcg_at_10", "recall_at_50") for state in STATES]
        table.add_row(system.replace("_", " "), *(f"{figure:.3f}" for figure in figures))
    return table


if __name__ == "__main__":
    sys.exit(main())

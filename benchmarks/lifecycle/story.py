"""``make demo-lifecycle``: a model goes out of date under load and is replaced without a person; bad ones are stopped.

A town of simulated people (``world.py``) shops over REST for some ten minutes. Its tastes change in one night. The
drift flow finds it and starts a training with its reason; the challenger passes the gate, the alias moves, the
recommender takes it in by way of a canary, and people click again. Then a worse model meets the gate, and one that the
gate cannot see through meets the canary. Whoever asked was answered: a failed request fails the demo.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.lifecycle.picture import BLUE, GREEN, ORANGE, PINK, Mark, draw
from benchmarks.lifecycle.shoppers import K, Shoppers, Visit
from benchmarks.lifecycle.world import Town, catalogue, history, profiles
from flows.dataset import write_dataset
from infra.firstrun import first_run
from infra.processes import StackError
from infra.servers import address
from infra.settings import any_ports, load_settings
from infra.stack import Stack

PEOPLE, FIRST_COLLECTION, SECOND_COLLECTION, HISTORY = 3_000, 720, 480, 15_000
VISITS_PER_S = 30.0
CALM_S, NEW_SEASON_S, AFTER_S, BAD_S = 60.0, 150.0, 75.0, 25.0
TRAINING_WITHIN_S = 600.0

PREFECT = (sys.executable, "-m", "prefect")

TUNED: dict[str, Any] = {
    "attribution_s": 20.0,  # what a list led to is known soon
    "drift_hours": NEW_SEASON_S / 3_600,
    "gate_margin": -0.02,  # a model as good as the champion may replace it
    "retriever_epochs": 4,
}
"""A day's life in minutes."""

console = Console(highlight=False)


class StoryError(RuntimeError):
    """Something did not happen that the story promises."""


@dataclass
class Story:
    """What is going on: the stack, the people, and what was seen so far."""

    stack: Stack
    shoppers: Shoppers
    town: Town
    marks: list[Mark] = field(default_factory=list)
    phases: list[tuple[str, float, float]] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)

    def mark(self, what: str, colour: str) -> None:
        """Something happened just now."""
        self.marks.append(Mark(time.time(), what, colour))
        console.print(f"[bold]{len(self.marks)}[/bold]  {what}")

    def phase(self, name: str, seconds: float) -> None:
        """Let people come for some time."""
        began = time.time()
        for _ in track(range(round(seconds)), f"{name:<34}", console=console):
            time.sleep(max(0.0, 1 - (time.time() - began) % 1))
            self.stack.watch()
        self.phases.append((name, began, time.time()))

    def model(self) -> dict[str, Any]:
        """GET /model."""
        url = f"{address(self.stack.settings, 'recommender')}/model"
        return dict(httpx.get(url, trust_env=False).raise_for_status().json())

    def command(self, name: str, *command: str) -> str:
        """Run a command in the stack's environment to its end; return what it printed. Raises StoryError."""
        process = self.stack.run(name, command)
        while process.exit_code is None:
            self.stack.watch()
            time.sleep(0.2)
        said = (self.stack.settings.home / "logs" / f"{name}.log").read_text(errors="replace")
        if process.exit_code:
            raise StoryError(f"{' '.join(command)} ended with {process.exit_code}:\n{said[-2_000:]}")
        return said

    def until(self, what: str, check: Callable[[], Any], within_s: float) -> Any:
        """Wait, with people coming, for something to become true. Raises StoryError."""
        with console.status(what):
            until = time.monotonic() + within_s
            while not (found := check()):
                self.stack.watch()
                if time.monotonic() > until:
                    raise StoryError(f"{what}: not within {within_s:.0f} s")
                time.sleep(0.25)
        return found


def play(story: Story) -> None:
    """The whole story. Raises StoryError."""
    story.command("deploy", *PREFECT, "--no-prompt", "deploy", "--all", "--prefect-file", "flows/prefect.yaml")
    first = story.model()
    story.models[first["model_version"]] = "first season's model"
    story.phase("first season", CALM_S)
    new_season(story)
    story.phase("second season, old model", NEW_SEASON_S)
    retrained(story, first)
    story.phase("second season, new model", AFTER_S)
    refused_by_the_gate(story)
    stopped_by_the_canary(story)
    story.phase("after both bad models", BAD_S)


def new_season(story: Story) -> None:
    """Tastes change, and what people want from now on comes into the catalogue."""
    story.shoppers.season = 1
    story.mark("tastes change, a second collection comes", ORANGE)
    entries = catalogue(story.town, datetime.now(UTC), range(FIRST_COLLECTION, FIRST_COLLECTION + SECOND_COLLECTION))
    with httpx.Client(base_url=address(story.stack.settings, "ingest"), trust_env=False) as ingest:
        for entry in entries:
            body = entry.model_dump(mode="json", exclude={"item_id"})
            ingest.put(f"/items/{entry.item_id}", json=body).raise_for_status()


def retrained(story: Story, first: dict[str, Any]) -> None:
    """The daily drift flow, at once: it starts the training; the gate and the canary do the rest."""
    story.command("drift", *PREFECT, "deployment", "run", "drift/freshet", "--watch")
    story.mark("the drift flow has found it and started a training", PINK)
    version = first["registered_version"]
    story.until("training", lambda: story.model()["canary"] or _replaced(story, version), TRAINING_WITHIN_S)
    story.mark("the challenger passed the gate; the alias moves, the canary begins", BLUE)
    story.until("canary", lambda: _replaced(story, version), 60.0)
    story.models[story.model()["model_version"]] = "second season's model"
    story.mark("it answers everybody", GREEN)


def _replaced(story: Story, version: str) -> bool:
    return bool(story.model()["registered_version"] != version)


def refused_by_the_gate(story: Story) -> None:
    """A model whose items are misnumbered: all hashes are right."""
    serving = story.model()["registered_version"]
    said = story.command("misnumbered", sys.executable, "-m", "benchmarks.lifecycle.sabotage", "misnumbered")
    story.mark("the gate refuses a model that is worse", PINK)
    console.print(f"   {_verdict(said)}")
    if story.model()["registered_version"] != serving or "refused" not in _verdict(said):
        raise StoryError("the gate let a misnumbered model pass")


def stopped_by_the_canary(story: Story) -> None:
    """A model that is well on everything the gate asks, and answers some people with what is no number."""
    serving = story.model()["registered_version"]
    said = story.command("overflowing", sys.executable, "-m", "benchmarks.lifecycle.sabotage", "overflowing")
    console.print(f"   {_verdict(said)}")
    refused = story.until("canary", lambda: story.model()["refused"], 60.0)
    story.mark("a model that the gate let pass answers NaN to some: the canary is over, the alias is back", ORANGE)
    for version, why in refused.items():
        console.print(f"   version {version}: {why}")
    if story.model()["registered_version"] != serving:
        raise StoryError("the model before does not serve again")


def _verdict(said: str) -> str:
    return next((line.split(" - ")[-1].strip() for line in said.splitlines() if "version " in line and ":" in line), "")


def figures(story: Story) -> tuple[Table, list[dict[str, Any]]]:
    """What people and clients noticed in each phase, as a table and as plain values."""
    table = Table(title="What people noticed")
    for column in ("phase", "visits", "clicks per item, %", "lists with a click, %", "p50 ms", "p99 ms", "failed"):
        table.add_column(column, justify="left" if column == "phase" else "right")
    rows = []
    for name, began, ended in story.phases:
        visits = [visit for visit in story.shoppers.visits if began <= visit.at < ended]
        row = _row(visits)
        rows.append({"phase": name, **row})
        table.add_row(name, f"{row['visits']:,}", *(f"{row[key]:.1f}" for key in FIGURES), str(row["failed"]))
    return table, rows


FIGURES = ("clicks_per_item", "lists_with_click", "p50_ms", "p99_ms")


def _row(visits: Sequence[Visit]) -> dict[str, Any]:
    clicks, took = np.array([v.clicks for v in visits]), np.array([v.took_ms for v in visits])
    p50, p99 = np.percentile(took, (50, 99))
    return {
        "visits": len(visits),
        "clicks_per_item": 100 * float(clicks.mean()) / K,
        "lists_with_click": 100 * float((clicks > 0).mean()),
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "failed": sum(v.status != 200 for v in visits),
    }


def main() -> int:
    """Run the demo. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make demo-lifecycle", description=__doc__)
    parser.add_argument("--plots", type=Path, default=Path(".local/plots"), help="where lifecycle.png and .json go")
    options = parser.parse_args()
    random, now = np.random.default_rng(7), datetime.now(UTC)
    town = Town.founded(PEOPLE, FIRST_COLLECTION, SECOND_COLLECTION, random)
    with tempfile.TemporaryDirectory(prefix="freshet-lifecycle-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        entries = catalogue(town, now - timedelta(days=40), range(FIRST_COLLECTION))
        write_dataset(home / "data", entries, profiles(town), history(town, HISTORY, now, random))
        settings = load_settings(home=home / "state", dataset=str(home / "data"), **any_ports(), **TUNED)
        try:
            with Stack(settings, say=console.print) as stack:
                first_run(stack)
                return told(stack, town, options.plots)
        except (StackError, StoryError, httpx.HTTPError) as error:
            console.print(f"[red]demo failed:[/red] {error}", markup=True)
            return 1


def told(stack: Stack, town: Town, plots: Path) -> int:
    """Let the people come, play the story, show it. Returns the exit status."""
    ingest, recommender = (address(stack.settings, name) for name in ("ingest", "recommender"))
    with Shoppers(town, ingest, recommender, VISITS_PER_S) as shoppers:
        story = Story(stack, shoppers, town)
        play(story)
    for visit in shoppers.visits:
        if visit.version is not None:
            story.models.setdefault(visit.version, "a bad model, on trial")
    table, rows = figures(story)
    console.print(table)
    plots.mkdir(parents=True, exist_ok=True)
    summary = {"phases": rows, "marks": [mark._asdict() for mark in story.marks]}
    (plots / "lifecycle.json").write_text(json.dumps(summary, indent=2))
    console.print(f"the picture: {draw(shoppers.visits, story.marks, story.models, plots / 'lifecycle.png')}")
    failed = sum(visit.status != 200 for visit in shoppers.visits)
    hurt, healed = (row["clicks_per_item"] for row in rows[1:3])
    console.print(f"{len(shoppers.visits):,} requests, {failed} failed; {shoppers.events_failed} acts not taken")
    return int(failed > 0 or shoppers.events_failed > 0 or healed <= hurt)


if __name__ == "__main__":
    sys.exit(main())

"""The gate, as Prefect tasks: a registered version against the champion, the verdict on the version, the alias.

What is judged is what was registered: its bundle and its judged twin are downloaded again and verified. The twins of
both meet on the challenger's test window, which neither has seen; latency and the canary requests are the shipping
bundle's.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from feature_repo.events import Event
from flows.console import training_bars
from infra.settings import Settings
from models import registry
from models.bundle import Bundle, BundleError
from models.canary import answers, canary_set, median_ms, ready
from models.evaluate import duel
from models.gate import (
    Check,
    Verdict,
    better_check,
    guarded_segments,
    latency_check,
    popularity_check,
    sanity_checks,
    segment_checks,
    size_check,
    weights_check,
)
from models.metrics import Ratio
from models.recipe import TrainingSettings
from models.registry import RegistryError
from models.replay import Replay
from models.training import Plan

JUDGED = "judged"
"""The artifact folder of the twin that has seen nothing of its own test window."""

POPULARITY = "recent popularity"
REPORT = "gate.json"
GATE_HEADING = "\n\n**Gate**: "


class Rival(NamedTuple):
    """The champion: its version, what it serves with, its judged twin; None for what cannot be used, and why."""

    version: str | None
    bundle: Bundle | None
    twin: Bundle | None
    note: str


class Trial(NamedTuple):
    """What bundles are tried on; the replay moves on from one trial to the next."""

    settings: Settings
    plan: Plan
    replay: Replay
    how: TrainingSettings


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def judge_challenger(
    settings: Settings, version: str, plan: Plan, events: Sequence[Event], how: TrainingSettings
) -> Verdict:
    """All checks of a registered version; every one is made that can be.

    Args:
        version: the challenger.
        plan, events: of its training.
        how: candidates and seed, as it was trained.

    Raises:
        RegistryError: MLflow does not answer.
        SettingsError: FRESHET_GATE_SEGMENTS names what is no segment.
    """
    guarded = guarded_segments(settings.gate_segments, {name for item in plan.catalog for name in item.categories})
    with tempfile.TemporaryDirectory() as folder:
        bundle, sound = _downloaded(settings, version, Path(folder) / "own", registry.ARTIFACTS)
        size = sum(file.stat().st_size for file in (Path(folder) / "own").rglob("*")) / 1e6
        twin, twin_sound = _downloaded(settings, version, Path(folder) / "own twin", JUDGED)
        rival = _champion(settings, version, Path(folder))
    checks = [sound, twin_sound, size_check(size, settings.gate_max_bundle_mb)]
    trial, ratios, numbers = Trial(settings, plan, Replay(events), how), dict[str, Ratio](), dict[str, float]()
    if twin is not None and rival.twin is not None:
        found, ratios = _against(twin, rival.twin, trial, guarded)
        checks += found
    elif bundle is not None:
        names = ("live.product.ndcg_at_10", "live.recent_popularity.ndcg_at_10")
        checks.append(popularity_check(*(bundle.metrics.get(name, 0.0) for name in names)))
    if bundle is not None:
        found, numbers = _canary(bundle, rival.bundle, trial)
        checks += found
    against = f"version {rival.version}" if rival.twin is not None else POPULARITY
    if rival.note:
        checks.append(Check("champion's twin", True, rival.note))
    return Verdict(version, rival.version, against, checks, ratios, numbers)


def _against(twin: Bundle, rival: Bundle, trial: Trial, guarded: Sequence[str]) -> tuple[list[Check], dict[str, Ratio]]:
    settings, plan, replay, how = trial
    # A champion of newer data than the challenger's (events were lost, or erased) has seen part of the window.
    since_us = max(plan.split.test_us, int(rival.data_window["until_us"]))
    try:
        with training_bars() as steps:
            evaluation = duel(
                twin,
                rival,
                plan,
                replay,
                since_us=since_us,
                until_us=plan.split.end_us,
                candidates=how.candidates,
                seed=how.seed,
                progress=steps("gate"),
            )
    except Exception as error:  # a bundle may be wrong in ways that no check of shapes knows of
        return [Check("better than the champion", False, f"they could not be judged: {error!r}")], {}
    better, ratio = better_check(evaluation, settings.gate_margin)
    checks, ratios = segment_checks(evaluation, guarded, settings.gate_segment_margin)
    return [better, *checks], {"all": ratio, **ratios}


def _canary(bundle: Bundle, rival: Bundle | None, trial: Trial) -> tuple[list[Check], dict[str, float]]:
    settings, plan, replay, how = trial
    requests, checks = canary_set(plan, replay), [weights_check(bundle)]
    bundles = {"challenger": bundle} | ({"champion": rival} if rival is not None else {})
    try:
        scorers = {name: ready(one, plan, replay, how.candidates) for name, one in bundles.items()}
        found = answers(scorers["challenger"], requests)
        times = median_ms(scorers, requests)
    except Exception as error:  # as above
        return [*checks, Check("canary requests", False, f"they could not be answered: {error!r}")], {}
    checks += sanity_checks(found, len(plan.catalog), settings.gate_min_distinct)
    if rival is not None:
        checks.append(latency_check(times["challenger"], times["champion"], settings.gate_latency_ratio))
    return checks, {f"{name}_ms": value for name, value in times.items()}


def _champion(settings: Settings, version: str, folder: Path) -> Rival:
    champion = registry.champion(settings, settings.model_alias)
    if champion in (None, version):
        return Rival(None, None, None, "there is no champion to compare with")
    bundle, sound = _downloaded(settings, champion, folder / "champion", registry.ARTIFACTS)
    twin, twin_sound = _downloaded(settings, champion, folder / "champion twin", JUDGED)
    note = "; ".join(check.detail for check in (sound, twin_sound) if not check.passed)
    return Rival(champion, bundle, twin, f"version {champion} cannot be compared with in full: {note}" if note else "")


def _downloaded(settings: Settings, version: str, folder: Path, artifact: str) -> tuple[Bundle | None, Check]:
    """A registered bundle, when hashes, shapes, format and features are right."""
    name = f"{artifact} artifact"
    try:
        bundle = Bundle.load(registry.download(settings, version, folder, artifact))
        bundle.check_features()
    except RegistryError as error:
        registry.tags_of(settings, version)  # fails when it is MLflow that is away: that is to be tried again
        return None, Check(name, False, str(error))
    except BundleError as error:
        return None, Check(name, False, str(error))
    return bundle, Check(name, True, "hashes, format, shapes and features are right")


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def record(settings: Settings, verdict: Verdict) -> None:
    """The verdict with its numbers on the version, and where Prefect's users look."""
    told = registry.description_of(settings, verdict.version).split(GATE_HEADING)[0]
    registry.attach(settings, verdict.version, {REPORT: json.dumps(verdict.as_json(), indent=2)})
    tags = {"gate": verdict.summary, "gate_report": json.dumps(verdict.short_json())}
    registry.annotate(settings, verdict.version, tags, told + GATE_HEADING + sentence(verdict))
    create_markdown_artifact(markdown(verdict), key="gate", description=f"model version {verdict.version}")
    rows = [{"check": c.name, "passed": "yes" if c.passed else "NO", "found": c.detail} for c in verdict.checks]
    create_table_artifact(rows, key="gate-checks", description=f"model version {verdict.version}")


def sentence(verdict: Verdict) -> str:
    """The verdict and its main numbers, for the version's text and the log."""
    if not verdict.passed:
        return f"against {verdict.against}, {verdict.summary}."
    better = next(check.detail for check in verdict.checks if check.name.startswith("better than"))
    return f"passed against {verdict.against}: {better}."


def markdown(verdict: Verdict) -> str:
    """The report for people."""
    lines = [
        f"# Version {verdict.version} {'passed' if verdict.passed else 'was refused'}",
        f"Against {verdict.against}.",
        "",
        "| check | | found |",
        "| --- | --- | --- |",
        *(f"| {c.name} | {'passed' if c.passed else '**failed**'} | {_cell(c.detail)} |" for c in verdict.checks),
    ]
    if verdict.ratios:
        lines += ["", "| NDCG@10 over the champion's | ratio | 95 % from | to |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {_cell(name)} | {r.ratio:.3f} | {r.low:.3f} | {r.high:.3f} |" for name, r in verdict.ratios.items()
        ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

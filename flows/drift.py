"""Has the world moved away from what the champion learned? A look by Prefect's flow, daily: ``python -m flows.drift``.

read -> quality -> compare -> reports -> training. Served rows of bad quality alert and train nothing: what is broken is
to be mended, not to be learned.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import pandas as pd
from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, State
from pydantic import Field

from feature_repo.events import MICROSECONDS
from flows import drift_training, quality_checks
from flows.drift_report import LABEL, LIST, PREDICTION, Comparison, compare
from flows.event_store import open_event_store
from flows.metadata import MetadataStore
from flows.quality_checks import Alert
from flows.served import served_rows
from infra.settings import Settings, load_settings
from infra.telemetry import setup_logging
from models import reference, registry
from models.drift_store import DriftReport, DriftStore, Verdict
from models.registry import RegistryError

log = logging.getLogger(__name__)

Hours = Annotated[float, Field(gt=0, le=24 * 366, description="how far back; absent: FRESHET_DRIFT_HOURS")]
NO_FEATURES = ("label", "rank", "time_us", PREDICTION)
"""Columns of the reference that are no features."""


class BadData(RuntimeError):
    """Served rows are not fit to be judged; the message tells why. Nothing is trained."""


class Look(NamedTuple):
    """What is compared: the champion, its reference rows and features, and served rows like them.

    Attributes:
        version: the champion; None: there is none.
        newest_us: time of the newest served row of any kind, microseconds since the epoch; None: there is none.
        why_not: why there is nothing to compare; "" when there is.
        features: names of the champion's features.
        reference, rows: columns features, prediction, label, LIST; of ``rows`` also source and item_id.
    """

    version: str | None
    newest_us: int | None
    why_not: str
    features: Sequence[str] = ()
    reference: pd.DataFrame = pd.DataFrame()
    rows: pd.DataFrame = pd.DataFrame()

    def found(self, verdict: Verdict, reason: str) -> DriftReport:
        """The report of this look."""
        return DriftReport(datetime.now(UTC), self.version, verdict, reason, len(self.rows))


@flow(name="drift", log_prints=True)
def drift(hours: Hours | None = None, train_here: bool = False) -> State[str]:
    """Compare the champion's reference rows with what it served of late.

    Args:
        hours: how far back served rows are taken.
        train_here: train in this process when there is drift, instead of starting ``train/freshet``.

    Returns:
        ``drift``, ``no drift`` or ``not judged``; the run's state says why.

    Raises:
        BadData: the rows, or their absence, are an alert.
    """
    settings = load_settings()
    now_us = time.time_ns() // 1_000
    look = read(settings, now_us, hours or settings.drift_hours)
    if alerts := check(settings, look, now_us):
        return refuse(settings, look, alerts)
    if look.why_not:
        return finish(settings, look.found("not judged", look.why_not))
    comparison = compare_rows(settings, look)
    publish(settings, look, comparison)
    reason = told(comparison)
    if comparison.share < settings.drift_share:
        return finish(settings, with_figures(look.found("no drift", reason), comparison))
    report = with_figures(look.found("drift", reason), comparison)
    try:
        training = drift_training.start(settings, str(look.version), f"drift: {reason}", train_here)
    except Exception as error:
        keep(settings, report._replace(reason=f"{reason}; no training: {error}"))
        raise
    return finish(settings, report._replace(reason=f"{reason}; {training.message}", training=training.run))


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def read(settings: Settings, now_us: int, hours: float) -> Look:
    """The champion's reference rows, and served rows that are like them: ranked by it, in the first places."""
    since_us = now_us - round(hours * 3_600 * MICROSECONDS)
    silent_us = now_us - round(settings.quality_silence_s * MICROSECONDS)
    served = served_rows(settings, min(since_us, silent_us), now_us)
    newest_us = None if served.empty else int(served["time_us"].max())
    served = served[served["time_us"] >= since_us]
    version = registry.champion(settings, settings.model_alias)
    if version is None:
        return Look(None, newest_us, f"no version of {settings.model_name} has the alias {settings.model_alias}")
    try:
        before = reference_rows(settings, version)
    except RegistryError as error:
        return Look(version, newest_us, f"{error}; a version that is trained now has it")
    features = [name for name in before.columns if name not in (*NO_FEATURES, LIST)]
    rows = comparable(served, version, features)
    few = ""
    if len(rows) < settings.drift_min_rows:
        few = (
            f"{len(rows):,} comparable rows among {len(served):,} served ones of the last {hours:g} h, fewer than "
            f"FRESHET_DRIFT_MIN_ROWS={settings.drift_min_rows}"
        )
    return Look(version, newest_us, few, features, before, rows)


def reference_rows(settings: Settings, version: str) -> pd.DataFrame:
    """What the version showed in its test window, with the number of each row's LIST. Raises RegistryError."""
    with tempfile.TemporaryDirectory() as folder:
        rows = pd.read_parquet(registry.download(settings, version, Path(folder), reference.FILE))
    return rows.assign(**{LIST: (rows["rank"] == 0).cumsum()})


def comparable(served: pd.DataFrame, version: str, features: list[str]) -> pd.DataFrame:
    """Served rows as the reference has them: the champion's own, ranked, of the first places of their lists.

    Returns:
        Columns features (float32, NaN where absent), prediction, label (1 any act, 0 none, missing while it is not
        known), LIST, source and item_id.
    """
    ours = served[
        (served["registered_version"] == version)
        & served["fallback"].isna()
        & (served["position"] < reference.SHOWN)
        & served.reindex(columns=features).notna().any(axis=1)
    ]
    rows = ours.reindex(columns=[*features, "source", "item_id"])
    acts = ours["label"].gt(0).astype("Int64").mask(ours["label"].isna())
    return rows.assign(**{PREDICTION: ours["score"], LABEL: acts, LIST: ours["recommendation_id"]})


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def check(settings: Settings, look: Look, now_us: int) -> list[Alert]:
    """What is wrong with the data, before anything is concluded from them."""
    silent_s = settings.quality_silence_s
    with closing(open_event_store(settings.event_store_url)) as events:
        since = now_us - round(silent_s * MICROSECONDS)
        newest = max((table["time_us"][-1].as_py() for table in events.tables(since_us=since)), default=None)
    alerts = [
        *quality_checks.silence("event", newest, now_us, silent_s),
        *quality_checks.silence("served row", look.newest_us, now_us, silent_s),
    ]
    if look.why_not:
        return alerts
    with closing(MetadataStore(settings.database_url)) as metadata:
        catalogue = {item.item_id for item in metadata.items()}
    share = settings.quality_max_null_share
    return [
        *alerts,
        *quality_checks.nulls(look.rows, look.features, share),
        *quality_checks.constants(look.reference, look.rows, look.features, look.rows[LIST].nunique()),
        *quality_checks.unknown(look.rows, catalogue, share),
    ]


@task(cache_policy=NO_CACHE)
def compare_rows(settings: Settings, look: Look) -> Comparison:
    """By Evidently."""
    return compare(look.reference, look.rows, look.features, settings.drift_share, settings.seed)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def publish(settings: Settings, look: Look, comparison: Comparison) -> None:
    """Evidently's reports beside the champion's bundle in MLflow; the figures, and the way there, in Prefect."""
    version, name = str(look.version), f"drift/{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    registry.attach(settings, version, {f"{name}.html": comparison.html, f"{name}.json": comparison.json})
    run, page = registry.run_of(settings, version)
    where = f"artifacts `{name}.html` and `{name}.json` of MLflow's run `{run}` (version {version})"
    create_table_artifact(
        key="drift",
        table=[{"column": column, **found} for column, found in comparison.columns.items()],
        description=f"{told(comparison)}, {len(look.rows):,} served rows of version {version}; {where}",
    )
    if page:
        create_link_artifact(key="drift-report", link=page, link_text=f"{name}.html", description=where)
    else:
        create_markdown_artifact(key="drift-report", markdown=f"# {told(comparison)}\n\nReports: {where}.\n")


def told(comparison: Comparison) -> str:
    """``9 of 24 features, most item_rising (0.42)``."""
    drifted = comparison.drifted
    most = f", most {drifted[0]} ({comparison.columns[drifted[0]]['distance']:.2f})" if drifted else ""
    return f"{len(drifted)} of {len(comparison.counted)} features{most}"


def refuse(settings: Settings, look: Look, alerts: Sequence[Alert]) -> State[str]:
    """Say what is wrong in the log, in Prefect and in the table; the run fails."""
    entries = [alert._asdict() for alert in alerts]
    for entry in entries:
        log.error("data of bad quality", extra={"version": look.version, "alert": entry})
    create_table_artifact(
        key="quality", table=entries, description=f"{len(alerts)} alerts; nothing was compared or trained"
    )
    message = "; ".join(alert.message for alert in alerts)
    keep(settings, look.found("bad data", message)._replace(alerts=entries))
    raise BadData(message)


def finish(settings: Settings, report: DriftReport) -> State[str]:
    """Keep the report, and say its verdict as the run's state."""
    keep(settings, report)
    return Completed(message=f"{report.verdict}: {report.reason}", data=report.verdict)


def with_figures(report: DriftReport, comparison: Comparison) -> DriftReport:
    """The report with what was compared."""
    return report._replace(share=comparison.share, features=comparison.columns)


def keep(settings: Settings, report: DriftReport) -> None:
    """One row in ``drift_reports``."""
    print(f"{report.verdict}: {report.reason}")
    with closing(DriftStore(settings.database_url)) as store:
        store.add(report)


if __name__ == "__main__":
    setup_logging("drift", load_settings())
    drift()

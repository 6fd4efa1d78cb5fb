"""A training's results where people and the recommender look: MLflow's registry and Prefect's artifacts, as tasks."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.cache_policies import NO_CACHE

from feature_repo.events import Event, Item, UserProfile
from feature_repo.store import open_store
from flows import tracking
from flows.tracking import Made
from infra.settings import Settings
from models import registry


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def collect_facts(
    settings: Settings, events: Sequence[Event], items: Sequence[Item], users: Sequence[UserProfile]
) -> dict[str, object]:
    """Which data, feature definitions and code a model comes from."""
    data, feast = tracking.data_facts(events, items, users), tracking.feast_facts(open_store(settings))
    return data | feast | tracking.code_facts()


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def register(settings: Settings, made: Made) -> str:
    """Bundle, twin, figures and plots in MLflow as one version. Raises RegistryError when MLflow does not take them."""
    with tempfile.TemporaryDirectory() as folder:
        return registry.register(
            settings,
            made.shipped.save(Path(folder) / "bundle"),
            tracking.params_of(made, settings),
            tracking.metrics_of(made),
            {"bundle": made.shipped.version, "reason": made.reason},
            extras=tracking.write_extras(made, Path(folder) / "extras"),
            curves=tracking.curves_of(made),
            run_tags=tracking.run_tags(made),
            description=tracking.describe(made),
        )


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def challenge(settings: Settings, version: str) -> None:
    """The alias challenger names the version; a task of its own, because a second try must not register twice."""
    registry.challenge(settings, version)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def show(settings: Settings, version: str, made: Made) -> None:
    """Prefect artifacts of a registered version: ``training``, ``quality``, ``quality-by-segment``, ``mlflow-run``,
    ``plot-NAME``."""
    label = f"model version {version}"
    run_id, page = registry.run_of(settings, version)
    where = f"[run {run_id}]({page})" if page else f"run {run_id} in experiment {registry.EXPERIMENT} (`mlflow ui`)"
    text = f"# Model version {version}\n\n{tracking.describe(made)}\n\nMLflow: {where}"
    create_markdown_artifact(text, key="training", description=label)
    create_table_artifact(tracking.quality_rows(made.evaluation), key="quality", description=label)
    create_table_artifact(tracking.segment_rows(made.evaluation), key="quality-by-segment", description=label)
    if page:
        create_link_artifact(page, link_text=f"MLflow run of version {version}", key="mlflow-run", description=label)
    for name, picture in made.pictures.items():
        # Prefect keeps no files: the picture travels in its URL.
        url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        create_image_artifact(url, key=f"plot-{name}", description=label)

"""Feast's own store object, opened as the shell commands open it. Importing this imports Feast (seconds)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feast import FeatureStore

from infra import redis_url
from infra.settings import Settings

REPO = Path(__file__).resolve().parent


def open_store(settings: Settings) -> FeatureStore:
    """The feature store of these settings, through ``feature_store.yaml`` or what FEAST_FS_YAML_FILE_PATH names.

    Where neither says so, REDIS_URL does: a cluster or sentinels have a file of their own.
    """
    if "://" not in settings.feast_registry:
        Path(settings.feast_registry).parent.mkdir(parents=True, exist_ok=True)
    # Feast turns all deprecations on; those between other people's packages are not the reader's business.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(ibis|mlflow)\.")
    with _environment(settings):  # the file names variables, as it does for the shell commands
        return FeatureStore(repo_path=str(REPO), fs_yaml_file=yaml_file(settings))


def yaml_file(settings: Settings) -> Path:
    """The feature_store.yaml of these settings."""
    kind = redis_url.parse(settings.redis_url).kind
    default = "feature_store.yaml" if kind == "redis" else f"feature_store.{kind.replace('_', '-')}.yaml"
    return Path(os.environ.get("FEAST_FS_YAML_FILE_PATH") or REPO / default)


@contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings.environment())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def apply_definitions(store: FeatureStore) -> None:
    """What ``feast apply`` does, in process."""
    from feature_repo import definitions

    store.apply([getattr(definitions, name) for name in definitions.__all__])

"""Feast's own store object, opened as the shell commands open it. Importing this imports Feast (seconds)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feast import FeatureStore

from infra.settings import Settings

REPO = Path(__file__).resolve().parent


def open_store(settings: Settings) -> FeatureStore:
    """The feature store of these settings, through ``feature_store.yaml``."""
    if "://" not in settings.feast_registry:
        Path(settings.feast_registry).parent.mkdir(parents=True, exist_ok=True)
    # Feast turns all deprecations on; those between other people's packages are not the reader's business.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(ibis|mlflow)\.")
    with _environment(settings):  # the file names variables, as it does for the shell commands
        return FeatureStore(repo_path=str(REPO))


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

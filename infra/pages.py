"""What the embedded stack runs for people's eyes: our page, and MLflow's and Feast's own."""

from __future__ import annotations

import sys

from infra.processes import script
from infra.settings import ROOT, Settings

DIST = ROOT / "frontend" / "dist"
"""Our page, as `make frontend` builds it."""


def is_built() -> bool:
    """Whether there is a page to serve."""
    return (DIST / "index.html").is_file()


def console(settings: Settings) -> list[str]:
    """Command of our page and its console."""
    return [sys.executable, "-m", "bento.console"]


def mlflow(settings: Settings) -> list[str]:
    """Command of MLflow's page over the store in which the embedded stack keeps its models."""
    return [
        script("mlflow"),
        "server",
        *("--host", settings.host, "--port", str(settings.mlflow_port), "--workers", "1"),
        *("--backend-store-uri", settings.mlflow_tracking_uri),
        *("--artifacts-destination", (settings.home / "mlflow" / "artifacts").as_uri()),
    ]


def mlflow_alone(settings: Settings) -> dict[str, str]:
    """Its environment: without the job runners, which take 0.7 GB, for work that nobody gives it."""
    return {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def feast_ui(settings: Settings) -> list[str]:
    """Command of Feast's page."""
    address = ["--host", settings.host, "--port", str(settings.feast_ui_port)]
    return [script("feast"), "-c", str(ROOT / "feature_repo"), "ui", *address]

"""The way back as a Prefect flow; from a shell ``python -m flows.rollback`` is much faster."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from flows.rollback import go_back
from infra.settings import load_settings


@flow(name="rollback", log_prints=True)
def rollback(
    reason: Annotated[str, Field(min_length=1, max_length=1_000, description="why; stands on the version left")],
    version: Annotated[
        str | None, Field(pattern=r"^\d+$", description="what shall serve; none: what did before")
    ] = None,
) -> str:
    """Let the version before, or a named one, serve again. Returns it; fails when there is nothing to go back to."""
    settings = load_settings()
    done = go_back(settings, reason, version)
    print(f"version {done.serves} serves again instead of {done.left}: {reason}")
    create_markdown_artifact(
        key="rollback",
        markdown=f"# Version {done.serves} serves again\n\n"
        f"Version {done.left} of `{settings.model_name}` was left: {reason}\n",
        description=f"version {done.serves} instead of {done.left}",
    )
    return done.serves

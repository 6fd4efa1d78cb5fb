"""A user is forgotten on demand, and the receipt shown where operators look: what ``DELETE /users/{id}`` does."""

from __future__ import annotations

import time
from urllib.parse import quote

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from pydantic import PositiveFloat, SecretStr

from feature_repo.erasures import Receipt
from feature_repo.events import Id, pseudonym
from flows.loader import Ingest, LoadError
from infra.settings import Settings, load_settings

LOOK_EVERY_S = 0.5


class NotErased(RuntimeError):
    """The receipt is not complete in time; the message names the stores that have not reported."""


@flow(name="erase", log_prints=True)
def erase(user_id: Id, within_s: PositiveFloat = 300.0) -> str:
    """Forget a user everywhere, and wait for the receipt.

    Args:
        user_id: who; at the end the run's parameters name only his pseudonym.
        within_s: how long to wait for the receipt.

    Returns:
        The erasure's id.

    Raises:
        LoadError: ingest does not take the wish.
        NotErased: a store has not reported in time; the erasure goes on all the same.
    """
    settings = load_settings()
    try:
        erasure_id = ask(settings, SecretStr(user_id))
        receipt = wait_for_receipt(settings, erasure_id, within_s)
    finally:
        forget_the_parameter(pseudonym(user_id), within_s)
    create_table_artifact(
        key="erasure",
        table=[
            {"store": entry.store, "status": entry.status, "at": f"{entry.at or ''}", "detail": entry.detail or ""}
            for entry in receipt.stores
        ],
        description=f"receipt {erasure_id} of {pseudonym(user_id)}: {receipt.status}",
    )
    if receipt.status != "done":
        waiting = [entry.store for entry in receipt.stores if entry.status == "pending"]
        raise NotErased(
            f"erasure {erasure_id}: {', '.join(waiting)} not done after {within_s:g} s; do the dataflow and the eraser "
            f"run? It goes on: GET /erasures/{erasure_id}"
        )
    return erasure_id


@task(cache_policy=NO_CACHE)
def ask(settings: Settings, user_id: SecretStr) -> str:
    """The wish, as any client expresses it; ingest that is away is asked again. Returns the erasure's id."""
    name = quote(user_id.get_secret_value(), safe="")
    try:
        return str(Ingest(settings).call("DELETE", f"/users/{name}", b"")["erasure_id"])
    except LoadError as error:  # Prefect keeps it
        raise LoadError(str(error).replace(name, pseudonym(user_id.get_secret_value()))) from None


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def wait_for_receipt(settings: Settings, erasure_id: str, within_s: float) -> Receipt:
    """The receipt, as complete as it gets in time."""
    ingest, deadline = Ingest(settings), time.monotonic() + within_s
    while True:
        receipt = Receipt.model_validate(ingest.call("GET", f"/erasures/{erasure_id}", b""))
        if receipt.status == "done" or time.monotonic() > deadline:
            return receipt
        time.sleep(LOOK_EVERY_S)


def forget_the_parameter(user_key: str, within_s: float) -> None:
    """Prefect keeps the parameters of its runs: put the user's pseudonym in the place of his id."""
    if flow_run.id is not None:
        with get_client(sync_client=True) as client:
            client.update_flow_run(flow_run.id, parameters={"user_id": user_key, "within_s": within_s})

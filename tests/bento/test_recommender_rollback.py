"""Going back and forth by hand: over REST, by one command, with the registry or Redis away; aliases for experiments."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import uuid
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from mlflow_server import MlflowServer

from benchmarks.serving.proxy import Proxy
from infra.settings import Settings
from models import registry
from models.announce import announce

KEY = "the admin's key"
Serve = Callable[[Settings], Any]


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real MLflow server."""
    with MlflowServer(tmp_path_factory.mktemp("mlflow")) as server:
        yield server.url


@pytest.fixture
def mlflow(mlflow_server: str) -> Iterator[Proxy]:
    """The way to it."""
    with Proxy("127.0.0.1", int(mlflow_server.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def settings(settings: Settings, mlflow_server: str) -> Settings:
    """A model of this test alone, without a trial; the registry is looked at rarely."""
    own = {"mlflow_tracking_uri": mlflow_server, "model_name": f"model-{uuid.uuid4().hex[:8]}"}
    return settings.model_copy(update=own | {"release_poll_s": 60.0, "canary_share": 0.0})


@pytest.fixture
def versions(settings: Settings, bundle_dir: Path, second_dir: Path) -> tuple[str, str]:
    """Two versions; the second was promoted after the first, and has served."""
    first, second = (registry.register(settings, path, {}, {}, {}) for path in (bundle_dir, second_dir))
    for version in (first, second):
        registry.promote(settings, version, settings.model_alias)
        registry.annotate(settings, version, {"release": "serving"})
    return first, second


def serving(api: Any) -> str:
    """The version that answers."""
    return str(api.get("/model").json()["registered_version"])


def with_previous(api: Any, eventually: Callable[..., Any]) -> Any:
    """The application, once it has the release before in memory."""
    eventually(lambda: api.get("/model").json()["previous"], 30)
    return api


def test_a_rollback_over_rest_serves_the_version_before_and_says_why(
    *, settings: Settings, shop: Any, versions: tuple[str, str], serve: Serve, eventually: Callable[..., Any]
) -> None:
    first, second = versions
    api = with_previous(serve(settings), eventually)
    other = with_previous(serve(settings), eventually)
    assert (serving(api), serving(other)) == (second, second)
    answer = api.post("/model/rollback", json={"reason": "people complain"})
    done = answer.json()
    assert answer.status_code == 200 and (done["left"], done["serves"]) == (second, first), done
    assert serving(api) == first and registry.champion(settings, settings.model_alias) == first
    assert registry.tags_of(settings, second)["rolled_back"] == "people complain"
    eventually(lambda: serving(other) == first, 20)
    assert api.get("/model").json()["refused"] == {second: "people complain"}
    again = api.post("/model/rollback")
    assert again.status_code == 409 and "no release before" in again.json()["error"]["message"]
    promoted = api.post("/model/promote", json={"version": second})
    assert promoted.status_code == 200 and promoted.json()["was"] == first
    eventually(lambda: serving(api) == second and serving(other) == second, 30)
    unknown = api.post("/model/promote", json={"version": "99"})
    assert unknown.status_code == 404 and "no version 99" in unknown.json()["error"]["message"]


def test_one_command_rolls_back(
    *, settings: Settings, shop: Any, versions: tuple[str, str], serve: Serve, eventually: Callable[..., Any]
) -> None:
    first, second = versions
    api = with_previous(serve(settings.model_copy(update={"admin_key": KEY})), eventually)
    where = {"FRESHET_RECOMMENDER_PORT": str(api.base_url.port), "FRESHET_HOST": "127.0.0.1"}

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bento.recommender.rollback", "too many tulips"]
        return subprocess.run(
            command, env=os.environ | where | environment, capture_output=True, text=True, check=False, timeout=60
        )

    refused = run()
    assert refused.returncode == 1 and "X-Api-Key is missing" in refused.stderr and serving(api) == second
    done = run(FRESHET_ADMIN_KEY=KEY)
    assert done.returncode == 0 and f"version {first} serves again" in done.stdout, done.stderr
    assert serving(api) == first
    assert registry.tags_of(settings, second)["rolled_back"] == "too many tulips"
    nobody = run(FRESHET_RECOMMENDER_PORT="1")
    assert nobody.returncode == 2 and "flows.rollback" in nobody.stderr


def test_a_rollback_is_let_in_where_everybody_else_is_turned_away(
    *, settings: Settings, shop: Any, versions: tuple[str, str], serve: Serve, eventually: Callable[..., Any]
) -> None:
    first, second = versions
    api = with_previous(serve(settings.model_copy(update={"max_in_flight": 1})), eventually)
    load = api.runtime.load
    eventually(lambda: load.under_way == 0, 10)  # an answer is out before its place is free
    assert asyncio.run(load.enter())
    assert api.get("/recommend?user_id=user-1").status_code == 429
    done = api.post("/model/rollback")
    assert done.status_code == 200 and done.json()["left"] == second
    load.leave()
    assert serving(api) == first


def test_who_has_no_key_changes_nothing(settings: Settings, shop: Any, bundle_dir: Path, serve: Serve) -> None:
    folder = settings.model_copy(update={"bundle_dir": bundle_dir})
    for changes, header, status in (
        ({"admin_key": KEY}, None, 401),
        ({"admin_key": KEY}, "wrong", 401),
        ({"admin_key": KEY}, KEY, 409),  # let in; there is nothing to go back to
        ({"mode": "production"}, None, 403),
        ({"mode": "production"}, "", 403),
        ({}, None, 409),
    ):
        api = serve(folder.model_copy(update=changes))
        for path, body in (("rollback", None), ("promote", {"version": "1"})):
            headers = {} if header is None else {"x-api-key": header}
            answer = api.post(f"/model/{path}", json=body, headers=headers)
            assert answer.status_code == status, (changes, header, path, answer.text)


def test_a_rollback_does_not_wait_for_a_registry_that_is_away(
    *,
    settings: Settings,
    shop: Any,
    versions: tuple[str, str],
    mlflow: Proxy,
    serve: Serve,
    eventually: Callable[..., Any],
) -> None:
    first, second = versions
    through = settings.model_copy(update={"mlflow_tracking_uri": f"http://127.0.0.1:{mlflow.port}"})
    api = with_previous(serve(through), eventually)
    mlflow.deaf = True
    answer = api.post("/model/rollback", json={"reason": "now"})
    told = answer.json()["error"]
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1", told
    assert told["details"] == {"left": second, "serves": first} and serving(api) == first
    assert api.get("/model").json()["untold"] == [second]
    assert api.post("/model/rollback").status_code == 503, "not done yet, and said so again"
    assert api.post("/model/promote", json={"version": second}).status_code == 503
    assert registry.champion(settings, settings.model_alias) == second
    mlflow.deaf = False
    eventually(lambda: registry.champion(settings, settings.model_alias) == first, 60)
    eventually(lambda: registry.tags_of(settings, second).get("rolled_back") == "now", 20)
    eventually(lambda: api.get("/model").json()["untold"] == [], 20)


def test_with_redis_away_the_alias_is_still_followed(
    *,
    settings: Settings,
    shop: Any,
    stocked: Callable[[str], Any],
    versions: tuple[str, str],
    serve: Serve,
    start_stack: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    first, _ = versions
    stack = start_stack(settings.model_copy(update={"redis_url": ""}).with_ports(redis_port=0), "redis")
    own = stack.settings.model_copy(update={"release_poll_s": 0.5})
    stocked(own.redis_url)
    api = with_previous(serve(own), eventually)
    stack.kill("redis")
    with pytest.raises(redis.RedisError):
        redis.Redis.from_url(own.redis_url).ping()
    registry.roll_back(settings, "by hand")
    assert not announce(own)
    eventually(lambda: serving(api) == first, 20)
    stack.restart("redis")


def test_what_an_experiment_wants_is_in_memory_only_while_it_wants_it(
    *, settings: Settings, shop: Any, versions: tuple[str, str], second_dir: Path, serve: Serve, eventually: Any
) -> None:
    first, _ = versions
    third = registry.register(settings, second_dir, {}, {}, {})
    registry.challenge(settings, third)
    api = with_previous(serve(settings), eventually)
    releases = api.runtime.releases
    assert releases.named("challenger") is None and releases.named("champion") is releases.current
    releases.want({"challenger", "champion"})
    challenger = eventually(lambda: releases.named("challenger"), 30)
    assert (challenger.registered, challenger.variant) == (third, "challenger")
    assert api.get("/model").json()["aliases"] == {"challenger": third}
    assert challenger.catalog in releases.catalogs()
    registry.challenge(settings, first)
    announce(settings)
    eventually(lambda: releases.named("challenger").registered == first, 30)
    assert releases.named("challenger").scorer is releases.previous.scorer, "what is in memory is not loaded again"
    gone = weakref.ref(challenger.catalog.table)
    del challenger
    eventually(lambda: gone() is None, 10)
    releases.want(set())
    assert releases.named("challenger") is None and api.get("/model").json()["aliases"] == {}


def test_a_release_that_is_left_goes_from_memory_without_the_collector(
    *, settings: Settings, shop: Any, versions: tuple[str, str], serve: Serve, eventually: Callable[..., Any]
) -> None:
    api = with_previous(serve(settings), eventually)
    releases = api.runtime.releases
    gone = weakref.ref(releases.current.catalog.table), weakref.ref(releases.current.scorer)
    gc.disable()
    try:
        assert api.post("/model/rollback").status_code == 200
        assert api.get("/recommend?user_id=user-1").json()["fallback"] is None
        eventually(lambda: all(each() is None for each in gone), 10)
    finally:
        gc.enable()


def test_a_champion_that_never_served_is_tried_also_after_a_start(
    *, settings: Settings, shop: Any, bundle_dir: Path, second_dir: Path, serve: Serve, eventually: Callable[..., Any]
) -> None:
    first, second = (registry.register(settings, path, {}, {}, {}) for path in (bundle_dir, second_dir))
    for version in (first, second):
        registry.promote(settings, version, settings.model_alias)
    api = serve(settings.model_copy(update={"canary_share": 0.1, "canary_s": 600.0}))
    assert serving(api) == first
    canary = eventually(lambda: api.get("/model").json()["canary"], 30)
    assert canary["registered_version"] == second
    assert api.post("/model/rollback").json()["serves"] == first
    assert api.get("/model").json()["canary"] is None

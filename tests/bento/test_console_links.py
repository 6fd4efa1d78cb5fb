"""Pages of other programs: where they are by the settings, whether they answer, and what a link never shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bento.console import links
from bento.console.links import Links, bare, places
from infra.processes import free_ports
from infra.settings import Settings
from tests.bento.console_echo import Echo
from tests.bento.console_server import served

pytest_plugins = ["tests.bento.console_fixtures"]


def urls(settings: Settings) -> dict[str, str | None]:
    return {place.name: place.url for place in places(settings)}


def test_the_embedded_stack_serves_its_own(home: Settings) -> None:
    local = home.model_copy(update={"mlflow_port": 5_001, "feast_ui_port": 5_002, "prefect_api_url": "http://p:1/api/"})
    assert urls(local) == {
        "MLflow": "http://127.0.0.1:5001",
        "Prefect": "http://p:1",
        "Feast": "http://127.0.0.1:5002",
        "Grafana": None,
    }
    without = urls(local.model_copy(update={"uis": False}))
    assert (without["MLflow"], without["Feast"]) == (None, None)


def test_settings_name_others(home: Settings) -> None:
    named = {f"{name}_ui_url": f"https://{name}.example/" for name in ("mlflow", "prefect", "feast")}
    elsewhere = home.model_copy(update=named | {"mode": "production", "grafana_url": "https://grafana.example/"})
    assert set(urls(elsewhere).values()) == {*named.values(), "https://grafana.example/"}
    server = home.model_copy(update={"mode": "production", "mlflow_tracking_uri": "https://mlflow.example:5000"})
    assert urls(server)["MLflow"] == "https://mlflow.example:5000"
    assert urls(server)["Feast"] is None


def test_a_link_lets_nobody_in(home: Settings) -> None:
    server = home.model_copy(update={"mlflow_tracking_uri": "https://user:secret@mlflow.example:5000/a?b=c@d"})
    assert urls(server)["MLflow"] == "https://mlflow.example:5000/a?b=c@d"
    assert (bare(None), bare(""), bare("http://plain/@")) == (None, "", "http://plain/@")


def test_whether_a_page_answers_is_asked_now_and_then(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    here = home.model_copy(
        update={"uis": False, "prefect_ui_url": "no address", "grafana_url": f"http://127.0.0.1:{port}/echo"}
    )

    async def ask(asked: Links, times: int = 1) -> list[dict[str, bool]]:
        answers = await asyncio.gather(*(asked.all() for _ in range(times)))
        return [{link.name: link.up for link in answer} for answer in answers]

    nothing = {"MLflow": False, "Prefect": False, "Feast": False, "Grafana": False}
    with asyncio.Runner() as runner:
        asked = Links(here)
        assert runner.run(ask(asked)) == [nothing]
        with served(echo := Echo("grafana"), port=port):
            assert runner.run(ask(asked)) == [nothing], "what was found is kept for a while"
            monkeypatch.setattr(links, "KEPT_S", 0.0)
            fresh = Links(here)
            monkeypatch.setattr(links, "KEPT_S", 60.0)
            assert runner.run(ask(fresh, 20)) == [nothing | {"Grafana": True}] * 20
            assert len(echo.seen) == 1, "however many ask at once"


def test_a_page_that_hangs_is_not_up(
    home: Settings, serve_app: Callable[[Any], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "WITHIN_S", 0.3)
    hangs = Echo("grafana")
    here = home.model_copy(update={"uis": False, "grafana_url": f"http://127.0.0.1:{serve_app(hangs)}/hang"})
    assert [link.up for link in asyncio.run(Links(here).all()) if link.name == "Grafana"] == [False]
    hangs.go_on = True

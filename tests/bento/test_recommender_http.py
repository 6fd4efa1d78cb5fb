"""The recommender's outermost layer: who is let in, how many at once, what is counted and traced, the last minutes."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Query
from fastapi.testclient import TestClient
from hypothesis import assume, given, strategies
from hypothesis import settings as tries

from bento import errors
from bento.recommender.direct import DirectRoute
from bento.recommender.load import Load
from bento.recommender.metrics import Metrics
from bento.recommender.schemas import RecommendBody, RecommendQuery
from infra.settings import Settings

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def metric(api: Any, name: str, **labels: str) -> float:
    """The value of one series; 0 when there is none."""
    for line in api.get("/metrics").text.splitlines():
        if line.startswith(f"freshet_recommender_{name}") and all(f'{k}="{v}"' in line for k, v in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def load(home: Settings, most: int) -> Load:
    return Load(home.model_copy(update={"max_in_flight": most, "max_queue_ms": 25.0}), Metrics())


# How many are let in


def test_requests_of_one_round_begin_one_by_one_in_their_order_and_the_rest_is_refused(home: Settings) -> None:
    async def main() -> tuple[list[int], list[int]]:
        lets_in, begun, refused, rounds = load(home, 8), [], [], [0]

        def count_rounds() -> None:
            rounds[0] += 1
            asyncio.get_running_loop().call_soon(count_rounds)

        async def request(n: int) -> None:
            if await lets_in.enter():
                begun.append((n, rounds[0]))
                lets_in.leave()
            else:
                refused.append(n)

        asyncio.get_running_loop().call_soon(count_rounds)
        await asyncio.gather(*(request(n) for n in range(20)))
        assert len({at for _, at in begun}) == len(begun), "two began in one round of the loop"
        return [n for n, _ in begun], refused

    begun, refused = asyncio.run(main())
    # The first is answered before the second asks, so eight more find a place.
    assert begun == list(range(9)) and refused == list(range(9, 20))


def test_who_gives_up_waiting_leaves_the_place_to_the_next(home: Settings) -> None:
    async def main() -> None:
        lets_in = load(home, 3)
        first, waits, behind = (asyncio.create_task(lets_in.enter()) for _ in range(3))
        await asyncio.sleep(0)
        waits.cancel()
        assert await first and await behind and waits.cancelled()
        lets_in.leave()
        lets_in.leave()
        assert [await lets_in.enter() for _ in range(4)] == [True, True, True, False]

    asyncio.run(main())


def test_the_limit_halves_while_the_queue_stands_and_grows_back_by_eighths(home: Settings) -> None:
    lets_in = load(home, 32)
    seen = []
    for least_wait_s in (0.03, 0.03, 0.03, 0.03, 0.02, 0.0, 0.03):
        lets_in.judge(least_wait_s)
        seen.append(lets_in.limit)
    assert seen == [16, 8, 4, 4, 8, 12, 6]
    lets_in.judge(0.0, intervals=100)
    assert lets_in.limit == 32


def test_what_is_too_much_gets_429_at_once_and_operation_is_never_refused(
    settings: Settings, shop: Any, bundle_dir: Any, serve: Any
) -> None:
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "max_in_flight": 2}))

    async def ask(paths: list[str]) -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=len(paths))
        async with httpx.AsyncClient(base_url=api.base_url, limits=limits, timeout=30, trust_env=False) as client:
            return await asyncio.gather(*(client.get(path) for path in paths))

    answers = asyncio.run(
        ask([f"/recommend?user_id=user-{n}" for n in range(60)] + ["/health", "/ready", "/metrics"] * 3)
    )
    recommended, operation = answers[:60], answers[60:]
    statuses = Counter(answer.status_code for answer in recommended)
    assert set(statuses) == {200, 429} and {answer.status_code for answer in operation} == {200}
    refusal = next(answer for answer in recommended if answer.status_code == 429)
    assert refusal.json()["error"]["code"] == "too_many_requests" and int(refusal.headers["retry-after"]) >= 1
    assert metric(api, "requests_total", route="/recommend", status="429") == statuses[429]
    assert metric(api, "shed_total", part="in_flight") + metric(api, "shed_total", part="queue") == statuses[429]
    assert metric(api, "in_flight") == 0
    assert api.get("/recommend?user_id=user-1").status_code == 200


def test_the_openapi_document_names_429_where_it_can_come(steady_api: Any) -> None:
    paths = steady_api.get("/openapi.json").json()["paths"]
    may = {
        path for path, operations in paths.items() if all("429" in each["responses"] for each in operations.values())
    }
    assert set(paths) - may == {"/health", "/ready", "/metrics"}


# The short way to a route is FastAPI's own


def twin(route_class: Any) -> TestClient:
    """An application that answers with what it understood."""
    app = FastAPI(strict_content_type=False)
    app.router.route_class = route_class
    errors.install(app)

    @app.get("/echo")
    async def query(query: Annotated[RecommendQuery, Query()]) -> Any:
        return app.state.encode(query)

    @app.post("/echo")
    async def body(body: RecommendBody) -> Any:
        return app.state.encode(body)

    app.state.encode = lambda model: errors.error_response(200, "ok", model.model_dump_json())
    return TestClient(app)


@pytest.fixture(scope="module")
def twins() -> tuple[TestClient, TestClient]:
    from fastapi.routing import APIRoute

    return twin(DirectRoute), twin(APIRoute)


def outcome(answer: Any) -> Any:
    """The answer, of a refusal the fields that it names."""
    error = answer.json()["error"]
    named = [detail["field"] for detail in error["details"] or ()]
    return answer.status_code, named, error["message"] if answer.status_code == 200 else None


NAMES = strategies.sampled_from(["user_id", "k", "exclude", "category", "diversity", "explain", "at", "colour", ""])
VALUES = strategies.sampled_from(
    ["", "u-1", "a,b", "10", "0", "1e3", "true", "maybe", "0.5", "nan", "é", "a+b", "a%20b", "%zz", "=", "2026-01-01"]
)


@tries(max_examples=300, deadline=None)
@given(
    pairs=strategies.lists(strategies.tuples(NAMES, VALUES), max_size=5), bare=strategies.sampled_from(["", "&", "k"])
)
def test_a_query_is_understood_as_fastapi_understands_it(
    twins: tuple[TestClient, TestClient], pairs: list[tuple[str, str]], bare: str
) -> None:
    assume(sum(name in ("colour", "") for name, _ in pairs) <= 1)  # of unknown names FastAPI makes lists
    query = "&".join([*(f"{name}={value}" for name, value in pairs), bare])
    ours, usual = (outcome(each.get(f"/echo?{query}")) for each in twins)
    assert ours == usual


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b"null", b"{", b'{"user_id": 7}', b'{"user_id": "u", "k": "3"}',
        b'{"user_id": "u", "diversity": NaN}', b'{"user_id": "u", "at": 1700000000}', b'{"user_id": "u", "explain": 1}',
        b'{"user_id": "u", "k": 1.5}',
        b'{"events": [{"item_id": "i", "event_type": "click", "properties": {"a": [1, null]}}]}', b'{"events": [1]}',
        b'{"user_id": "u", "items": ["a", 7], "exclude": null}', '{"user_id": "é"}'.encode(), b'"u"',
    ],
)  # fmt: skip
def test_a_body_is_understood_as_fastapi_understands_it(twins: tuple[TestClient, TestClient], body: bytes) -> None:
    ours, usual = (outcome(each.post("/echo", content=body)) for each in twins)
    # An event without an id or a time gets them anew each time it is read.
    assert ours[:2] == usual[:2] and (b"events" in body or ours == usual)


def test_a_body_that_does_not_come_keeps_nobodys_place(
    settings: Settings, shop: Any, bundle_dir: Any, serve: Any
) -> None:
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "slow_client_s": 0.5, "max_in_flight": 1}))
    with socket.create_connection(("127.0.0.1", api.base_url.port), timeout=20) as slow:
        slow.sendall(b"POST /recommend HTTP/1.1\r\nhost: h\r\ncontent-length: 50\r\n\r\n{")
        assert api.get("/recommend?user_id=user-1").status_code == 200
        answer = slow.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408") and b"connection: close" in answer and slow.recv(1) == b""
    assert metric(api, "in_flight") == 0


# What is counted and traced


def test_requests_are_counted_by_route_and_status(api: Any) -> None:
    for path, status in (
        ("/recommend?user_id=u", 200),
        ("/recommend", 422),
        ("/nowhere", 404),
        ("/items/x/similar", 404),
    ):
        assert api.get(path).status_code == status
    assert api.delete("/recommend").status_code == 405
    for route, status in (("/recommend", 200), ("/recommend", 422), ("/recommend", 405), ("none", 404)):
        assert metric(api, "requests_total", route=route, status=str(status)) == 1
    assert metric(api, "requests_total", route="/items/{item_id}/similar", status="404") == 1
    assert metric(api, "request_seconds_count", route="/recommend") == 3


def traces(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if record.name == "infra.tracing"]


def test_a_trace_that_the_caller_samples_is_one_line_of_the_log(
    *,
    settings: Settings,
    shop: Any,
    bundle_dir: Any,
    serve: Any,
    caplog: pytest.LogCaptureFixture,
    eventually: Any,
) -> None:
    caplog.set_level(logging.INFO, "infra.tracing")
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "trace_share": 0.0}))
    api.get("/recommend?user_id=user-1")
    api.get("/recommend?user_id=user-1", headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
    api.get("/recommend?user_id=user-1", headers={"traceparent": "nonsense"})
    assert traces(caplog) == []
    api.get("/recommend?user_id=user-1", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    (line,) = eventually(lambda: traces(caplog), within_s=5)  # it is written after the answer
    assert (line.trace_id, line.parent_id, line.route, line.status) == (TRACE, SPAN, "/recommend", 200)
    assert {"read", "rank", "encode"} <= {stage["stage"] for stage in line.stages}
    assert all(0 <= stage["took_ms"] <= line.took_ms for stage in line.stages)


def test_a_share_of_the_other_requests_is_traced(
    *,
    settings: Settings,
    shop: Any,
    bundle_dir: Any,
    serve: Any,
    caplog: pytest.LogCaptureFixture,
    eventually: Any,
) -> None:
    caplog.set_level(logging.INFO, "infra.tracing")
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "trace_share": 1.0}))
    api.get("/recommend")
    (line,) = eventually(lambda: traces(caplog), within_s=5)  # it is written after the answer
    assert (line.parent_id, line.route, line.status, line.stages) == (None, "/recommend", 422, [])


# The last minutes


def test_a_process_that_drains_is_not_ready_and_answers_but_keeps_no_connection(api: Any) -> None:
    assert "connection" not in api.get("/recommend?user_id=user-1").headers
    api.runtime.drain.begun = True
    for path, status in (("/recommend?user_id=user-1", 200), ("/health", 200), ("/ready", 503), ("/popular", 200)):
        answer = api.get(path)
        assert (answer.status_code, answer.headers.get("connection")) == (status, "close"), path
    assert "about to stop" in api.get("/ready").json()["error"]["message"]

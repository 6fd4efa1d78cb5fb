"""Both services as production runs them: keys, users' tokens, acts in the audit log, other sites' pages, bad bodies."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bento.access.tokens import issue
from feature_repo.events import pseudonym
from tests.bento.access_services import error_of, ingesting, key_file
from tests.bento.conftest import _stocked, served

ADMIN_KEY = "the key that everything begins with"
SECRET = "signs the tokens of all the users of this shop"
PAGE = "https://shop.example"
LIMIT = 20_000

ANN, BO = "user-1", "user-2"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("keys") / "keys"
    return {"path": path, **key_file(path, {"shop": "ingest,read", "ops": "admin", "site": "read"})}


@pytest.fixture(scope="module")
def guarded(servers: Any, bundle_dir: Path, keys: dict[str, Any]) -> Any:
    own = {"mode": "production", "api_keys_file": keys["path"], "admin_key": ADMIN_KEY, "user_token_secret": SECRET}
    own |= {"cors_origins": PAGE, "bundle_dir": bundle_dir, "max_body_bytes": LIMIT, "slow_client_s": 1.0}
    return servers.settings.model_copy(update=own)


@pytest.fixture(scope="module")
def recommender(guarded: Any) -> Iterator[httpx.Client]:
    _stocked(guarded.redis_url)
    with served(guarded) as client:
        yield client


@pytest.fixture(scope="module")
def ingest(guarded: Any) -> Iterator[httpx.Client]:
    with ingesting(guarded) as client:
        yield client


@pytest.fixture
def key(keys: dict[str, Any]) -> Any:
    return lambda name: {"x-api-key": keys[name]}


def token(user_id: str) -> dict[str, str]:
    return {"authorization": f"Bearer {issue(user_id, SECRET, 60)}"}


def event(user_id: str, **more: Any) -> dict[str, Any]:
    return {"user_id": user_id, "item_id": "item-1", "event_type": "click", **more}


def audited(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str, str]]:
    """Act, outcome, who and target of every line of the audit log."""
    lines = [vars(record) for record in caplog.records if record.name == "freshet.audit"]
    return [(line["act"], line["outcome"], line["who"], line["target"]) for line in lines]


# Keys


def test_a_key_does_what_its_roles_say(recommender: httpx.Client, ingest: httpx.Client, key: Any) -> None:
    recommend = f"/recommend?user_id={ANN}"
    assert recommender.get(recommend, headers=key("shop")).status_code == 200
    assert ingest.post("/events", json=event(ANN), headers=key("shop")).status_code == 201
    assert ingest.put("/items/i9", json={"title": "Nine"}, headers=key("shop")).status_code == 200
    for client, method, path, who, status in (
        (recommender, "GET", recommend, None, 401),
        (recommender, "GET", recommend, "ops", 403),
        (ingest, "POST", "/events", None, 401),
        (ingest, "POST", "/events", "site", 403),
        (ingest, "DELETE", "/users/nobody", "shop", 403),
        (ingest, "GET", "/erasures/x", "shop", 403),
        (ingest, "GET", "/erasures/x", "ops", 404),
        (recommender, "POST", "/model/rollback", "shop", 403),
    ):
        answer = client.request(method, path, headers={} if who is None else key(who))
        assert (answer.status_code, set(error_of(answer))) == (status, {"code", "message", "details"}), (path, who)
    for client in (recommender, ingest):
        assert client.get("/health").status_code == 200 and client.get("/openapi.json").status_code == 200
        assert 'status="401"' in client.get("/metrics").text, "refusals are counted as every answer is"


# Users' tokens


def test_a_user_reads_his_own_features_and_nobody_elses(recommender: httpx.Client, key: Any) -> None:
    mine = recommender.get(f"/users/{ANN}/features", headers=token(ANN))
    assert mine.status_code == 200 and mine.json()["user_id"] == ANN
    for path in (f"/users/{BO}/features", f"/users/{ANN}%2f..%2f{BO}/features", f"/users/{ANN}/../{BO}/features"):
        target = {"target": path.encode()}
        request = httpx.Request("GET", recommender.base_url, headers=token(ANN), extensions=target)
        answer = recommender.send(request)
        assert answer.status_code == 403 and BO not in answer.text, path
    assert recommender.get(f"/users/{BO}/features").status_code == 401
    assert recommender.get(f"/users/{BO}/features", headers=key("site")).status_code == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"user_id={ANN}", 200),
        (f"user_id={BO}", 403),
        (f"user_id={ANN}&user_id={BO}", 403),  # the last one counts
        (f"user_id={BO}&user_id={ANN}", 200),
        (f"user_id={ANN}&user%5Fid={BO}", 403),
        (f"user_id={ANN}%20", 422),
        ("", 422),
    ],
)
def test_a_user_gets_lists_for_himself_only(recommender: httpx.Client, query: str, status: int) -> None:
    answer = recommender.get(f"/recommend?{query}", headers=token(ANN))
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["user_id"] == ANN


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"user_id": ANN}, 200),
        ({"user_id": BO}, 403),
        ({"user_id": BO, "items": ["item-1"]}, 403),
        ({"events": [event("anonymous")]}, 200),
        ({"events": [event("anonymous")], "user_id": BO}, 403),
    ],
)
def test_a_users_body_is_about_himself_only(recommender: httpx.Client, body: Any, status: int) -> None:
    assert recommender.post("/recommend", json=body, headers=token(ANN)).status_code == status


def test_a_users_body_that_says_it_twice_is_read_once(recommender: httpx.Client) -> None:
    body = f'{{"user_id": "{ANN}", "user_id": "{BO}"}}'
    assert recommender.post("/recommend", content=body, headers=token(ANN)).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (event(ANN), 201),
        (event(BO), 403),
        ([event(ANN), event(ANN)], 201),
        ([event(ANN), event(BO)], 403),
        ([event(ANN), {"user_id": BO}], 201),  # the second is no event, and is not taken
        ([{"user_id": BO}], 422),
    ],
)
def test_a_user_sends_his_own_acts_only(ingest: httpx.Client, body: Any, status: int) -> None:
    sent = ingest.intake.metrics.events.labels("click")._value.get()  # type: ignore[attr-defined]
    answer = ingest.post("/events", json=body, headers=token(ANN))
    assert answer.status_code == status, answer.text
    now = ingest.intake.metrics.events.labels("click")._value.get()  # type: ignore[attr-defined]
    assert (now > sent) is (status == 201), "of an array of several users' acts none is taken"


# The audit log


def test_every_act_of_an_administrator_is_a_line_of_the_audit_log(
    recommender: httpx.Client, ingest: httpx.Client, key: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert ingest.delete("/users/leaver", headers=key("ops")).status_code == 202
    assert recommender.post("/model/rollback", headers={"x-api-key": ADMIN_KEY}).status_code == 409
    assert recommender.post("/model/promote", json={"version": "7"}, headers=key("ops")).status_code == 409
    assert ingest.delete("/users/leaver", headers=key("shop")).status_code == 403
    assert recommender.post("/model/promote", json={"version": "7"}).status_code == 401
    assert recommender.get("/model", headers=key("site")).status_code == 200
    assert audited(caplog) == [
        ("erase", "done", "ops", pseudonym("leaver")),
        ("rollback", "failed", "FRESHET_ADMIN_KEY", ""),
        ("promote", "failed", "ops", "7"),
        ("erase", "refused", "shop", ""),
        ("promote", "refused", "anonymous", ""),
    ]
    lines = [record for record in caplog.records if record.name == "freshet.audit"]
    assert {record.client for record in lines} == {"127.0.0.1"}  # type: ignore[attr-defined]
    assert all(record.levelno == logging.INFO for record in lines)
    assert "leaver" not in caplog.text
    counted = {"ingest": ingest.get("/metrics").text, "recommender": recommender.get("/metrics").text}
    assert 'freshet_ingest_admin_acts_total{act="erase",outcome="done"} 1.0' in counted["ingest"]
    assert 'freshet_recommender_admin_acts_total{act="promote",outcome="refused"}' in counted["recommender"]


def test_no_key_and_no_token_is_in_any_log(
    recommender: httpx.Client, ingest: httpx.Client, keys: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    theirs = token(ANN)["authorization"].split()[1]
    for client, path in ((recommender, "/model/rollback"), (ingest, "/events")):
        for headers in ({"x-api-key": keys["site"]}, {"x-api-key": ADMIN_KEY + "?"}, token(ANN), token(ANN + "x")):
            client.post(path, headers=headers, content=b"{")
    logged = "\n".join(
        json.dumps({**vars(record), "text": record.getMessage()}, default=str) for record in caplog.records
    )
    assert "refused" in logged
    for secret in (keys["site"], keys["shop"], ADMIN_KEY, SECRET, theirs):
        assert secret not in logged


# Other sites' pages


def test_pages_of_listed_origins_may_ask_and_others_may_not(
    recommender: httpx.Client, ingest: httpx.Client, key: Any
) -> None:
    for client, path, method in ((recommender, "/recommend", "GET"), (ingest, "/events", "POST")):
        wants = {"access-control-request-method": method, "access-control-request-headers": "authorization"}
        allowed = client.options(path, headers={"origin": PAGE, **wants})
        assert allowed.status_code == 200 and allowed.headers["access-control-allow-origin"] == PAGE
        assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
        refused = client.options(path, headers={"origin": "https://evil.example", **wants})
        assert refused.status_code == 400 and "access-control-allow-origin" not in refused.headers
        for origin, may in ((PAGE, True), ("https://evil.example", False), (f"{PAGE}.evil.example", False)):
            answer = client.request(method, path, headers={"origin": origin})
            assert answer.status_code == 401
            assert ("access-control-allow-origin" in answer.headers) is may, "also of a refusal the page learns"
            assert "access-control-allow-credentials" not in answer.headers
    assert recommender.get("/popular", headers={"origin": PAGE, **key("site")}).status_code == 200


# Bodies


@pytest.mark.parametrize("declared", [True, False])
def test_ten_times_too_large_is_413_before_the_body_is_taken(
    recommender: httpx.Client, ingest: httpx.Client, key: Any, declared: bool
) -> None:
    body = b"[" + b" " * 10 * LIMIT
    for client, path in ((recommender, "/recommend"), (ingest, "/events")):
        content: Any = body if declared else iter([body[n : n + 4_000] for n in range(0, len(body), 4_000)])
        answer = client.post(path, content=content, headers={"content-type": "application/json", **key("shop")})
        assert (answer.status_code, error_of(answer)["code"]) == (413, "too_large")
    assert 'freshet_ingest_rejected_total{reason="too_large"}' in ingest.get("/metrics").text


def test_a_form_with_files_is_415(recommender: httpx.Client, ingest: httpx.Client, key: Any) -> None:
    for client, method, path in (
        (recommender, "POST", "/recommend"),
        (ingest, "POST", "/events"),
        (ingest, "PUT", "/items/i1"),
    ):
        answer = client.request(method, path, files={"file": ("x.json", b"{}")}, headers=key("shop"))
        assert (answer.status_code, error_of(answer)["code"]) == (415, "unsupported_media_type")


def test_a_body_that_does_not_come_is_408_and_one_that_ends_half_way_is_nobodys_error(
    ingest: httpx.Client, keys: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    head = f"POST /events HTTP/1.1\r\nhost: h\r\nx-api-key: {keys['shop']}\r\ncontent-length: 50\r\n\r\n{{"
    where = ("127.0.0.1", int(ingest.base_url.port or 0))
    with socket.create_connection(where, timeout=20) as slow:
        slow.sendall(head.encode())
        assert slow.recv(65_536).startswith(b"HTTP/1.1 408")
    with socket.create_connection(where, timeout=20) as broken:
        broken.sendall(head.encode())
    while 'rejected_total{reason="ended"} 1.0' not in ingest.get("/metrics").text:
        pass
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

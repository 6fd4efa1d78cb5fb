from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import datetime

import pytest

from infra.telemetry import JsonFormatter

CODE = """
import logging
from infra.settings import load_settings
from infra.telemetry import setup_logging
setup_logging("first", load_settings(log_level="DEBUG"))
setup_logging("ingest", load_settings())
logging.getLogger("a.b").debug("too low")
logging.getLogger("a.b").info("took %d", 3, extra={"user_id": "u1", "took_ms": 1.5, "level": "mine"})
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger().exception("broken\\nin two lines")
"""


def test_logs_are_json_lines_on_stderr() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    first, second = map(json.loads, done.stderr.splitlines())
    assert done.stdout == ""
    assert datetime.fromisoformat(first.pop("ts")).tzinfo is not None
    assert first == {
        "level": "INFO",
        "service": "ingest",
        "logger": "a.b",
        "message": "took 3",
        "user_id": "u1",
        "took_ms": 1.5,
    }
    assert second["message"] == "broken\nin two lines"
    assert "ZeroDivisionError" in second["exception"]


SECRETS = """
import logging
import redis
from infra.settings import load_settings
from infra.telemetry import setup_logging
settings = load_settings()
setup_logging("ingest", settings)
logging.getLogger().warning("settings are %s", settings)
logging.getLogger().warning("these: %s", settings.model_dump_json())
try:
    redis.Redis.from_url(settings.redis_url).ping()
except redis.ConnectionError:
    logging.getLogger().exception("wrong: %s", settings.redis_url, extra={"url": settings.database_url})
"""


def test_no_secret_is_in_a_log_whatever_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {
        "REDIS_URL": ("redis://:s3cret%2Fword@127.0.0.1:1/0", ("s3cret%2Fword", "s3cret/word")),
        "DATABASE_URL": ('postgresql://me:d"ontell@127.0.0.1:1/db', ('d"ontell', r"d\"ontell")),
        "EVENT_STORE_URL": ("mongodb://me:mongosays@127.0.0.1:1/db", ("mongosays",)),
        "FRESHET_ADMIN_KEY": ("opensesame", ("opensesame",)),
        "FRESHET_USER_TOKEN_SECRET": ("signs-tokens-of-all-the-users-of-us", ("signs-tokens",)),
        "FRESHET_KAFKA_PASSWORD": ("Endpoint=sb://hub/;SharedAccessKey=into-the-log", ("into-the-log",)),
        "FRESHET_API_KEY": ("/begins-like-a-path", ("begins-like-a-path",)),
        "PINECONE_API_KEY": ("pc-key", ("pc-key",)),
    }
    for name, (value, _) in words.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-c", SECRETS], capture_output=True, text=True, check=True)
    assert len(done.stderr.splitlines()) == 3
    for line in done.stderr.splitlines():
        assert "127.0.0.1" in json.dumps(json.loads(line)), "the line still says what it is about"
    for word in [word for _, forms in words.values() for word in forms]:
        assert word not in done.stderr


def test_values_unknown_to_json_are_written_as_text() -> None:
    record = logging.makeLogRecord({"msg": "m", "what": {1: {2}}, "number": 2**70})
    assert json.loads(JsonFormatter("s").format(record))["what"] == {"1": "{2}"}

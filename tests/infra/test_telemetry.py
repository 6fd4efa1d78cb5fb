from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import datetime

from infra.telemetry import JsonFormatter

CODE = """
import logging
from infra.telemetry import setup_logging
setup_logging("first", "DEBUG")
setup_logging("ingest", "INFO")
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


def test_values_unknown_to_json_are_written_as_text() -> None:
    record = logging.makeLogRecord({"msg": "m", "what": {1: {2}}, "number": 2**70})
    assert json.loads(JsonFormatter("s").format(record))["what"] == {"1": "{2}"}

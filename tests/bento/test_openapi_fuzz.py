"""Both OpenAPI documents, fuzzed by schemathesis against the running services: no 5xx, no status or body that the
document does not name."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.servers import script
from infra.settings import Settings

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 25
"""Generated cases of each operation, besides those of the coverage phase."""


@pytest.fixture
def base_urls(settings: Settings, shop: Any, bundle_dir: Path, start_stack: Callable[..., Any]) -> dict[str, str]:
    """Where ingest and recommender answer, both ready, with the sample shop behind them."""
    stack = start_stack(settings.model_copy(update={"bundle_dir": bundle_dir}), "ingest", "recommender", "stream")
    ports = {"ingest": stack.settings.ingest_port, "recommender": stack.settings.recommender_port}
    urls = {name: f"http://{stack.settings.host}:{port}" for name, port in ports.items()}
    until = time.monotonic() + 60
    while any(httpx.get(f"{url}/ready").status_code != 200 for url in urls.values()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return urls


def fuzzed(url: str, folder: Path) -> str:
    """What schemathesis says of a service."""
    ran = subprocess.run(
        [
            script("st"),
            *("run", f"{url}/openapi.json", "--checks", CHECKS, "--phases", "coverage,fuzzing"),
            *("--max-examples", str(EXAMPLES), "--seed", "7", "--generation-database", "none", "--no-color"),
            *("--suppress-health-check", "all", "--continue-on-failure"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_no_request_gets_an_answer_that_the_document_does_not_name(base_urls: dict[str, str], tmp_path: Path) -> None:
    for service, url in base_urls.items():
        told = fuzzed(url, tmp_path)
        generated, passed = map(int, re.findall(r"(\d+) generated, (\d+) passed", told)[0])
        assert generated == passed > 100, (service, told)

"""The bento's requirements are the project's own versions, and name nothing that serving does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def pins(path: Path) -> dict[str, str]:
    lines = (line.partition("==") for line in path.read_text().splitlines() if "==" in line)
    return {name: version for name, _, version in lines}


def test_the_bento_pins_the_versions_that_the_tests_ran_with() -> None:
    own, all_pins = pins(ROOT / "bento" / "recommender" / "requirements.txt"), pins(ROOT / "requirements.txt")
    assert own and {name: all_pins.get(name) for name in own} == own
    assert not own.keys() & {"torch", "feast", "prefect", "bytewax", "mlflow", "pandas"}


def test_importing_the_service_leaves_out_what_costs_seconds() -> None:
    program = """
import sys
import bento.recommender.service
print([name for name in ("feast", "torch", "prefect", "mlflow", "bytewax", "prometheus_client") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"

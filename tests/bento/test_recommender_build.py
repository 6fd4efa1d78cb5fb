"""What ``bentoml build`` packs: all that serving imports, pinned as tested, and nothing that it does not need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from deploy_imports import pins

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("feast", "torch", "prefect", "mlflow", "bytewax", "prometheus_client")


def python(program: str, cwd: Path) -> str:
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=cwd)
    return ran.stdout.strip()


def test_the_bento_pins_the_versions_that_the_tests_ran_with() -> None:
    own, all_pins = pins(ROOT / "bento" / "recommender" / "requirements.txt"), pins(ROOT / "requirements.txt")
    assert own and {name: all_pins.get(name) for name in own} == own
    assert not own.keys() & {"torch", "feast", "prefect", "bytewax", "mlflow", "pandas"}


def test_a_built_bento_holds_all_that_the_service_imports_and_no_heavy_package(tmp_path: Path) -> None:
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # where uv is
    build = [sys.executable, "-m", "bentoml", "build", "-f", "bento/recommender/bentofile.yaml", "."]
    built = subprocess.run(build, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    source = next(tmp_path.glob("bentos/recommender/*/src"))
    assert {path.name for path in source.iterdir() if path.is_dir()} == {"bento", "feature_repo", "infra", "models"}
    assert not (source / "bento" / "ingest").exists()
    report = f"""
import sys, pathlib
import bento.recommender.service
own = [m for n, m in sys.modules.items() if n.split(".")[0] in ("bento", "infra", "feature_repo", "models")]
print(sorted(str(m.__file__) for m in own if not pathlib.Path(m.__file__).is_relative_to({str(source)!r})))
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    assert python(report, cwd=source).splitlines() == ["[]", "[]"]

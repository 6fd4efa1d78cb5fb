"""The built bento holds all that the service imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from infra.servers import script
from infra.settings import ROOT

IMPORT_FROM_BENTO = """
import sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path.insert(0, sys.argv[1])
import bento.ingest.service
ours = [module for name, module in sys.modules.items() if name.split(".")[0] in ("bento", "infra", "feature_repo")]
print([module.__file__ for module in ours if module.__file__ and not module.__file__.startswith(sys.argv[1])])
"""


def test_a_bento_is_built_and_needs_nothing_of_the_repository(tmp_path: Path) -> None:
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
    build = [script("bentoml"), "build", "-f", "bento/ingest/bentofile.yaml", "-o", "tag", "."]
    built = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (source,) = (tmp_path / "bentos" / "ingest").glob("*/src")
    run = [sys.executable, "-c", IMPORT_FROM_BENTO, str(source)]
    found = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout.strip()) == (0, "[]"), found.stderr
    pins = (source.parent / "env" / "python" / "requirements.txt").read_text().splitlines()
    assert any(pin.startswith("kafka-python==") for pin in pins)
    assert not any("://" in pin or pin.startswith("-") for pin in pins)

"""Nothing that serves can unpickle: not what we wrote, and not the arrays and text that a bundle is made of."""

from __future__ import annotations

import ast
import hashlib
import json
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deploy_imports import brought_along

from infra.settings import ROOT
from models.bundle import FILES, Bundle, BundleError

SERVES = ("bento.ingest.service", "bento.recommender.service", "bento.console.__main__")
UNPICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}
"""marshal is none of them: it makes no objects of classes, and the one use reads what the process wrote itself."""
RUNS = {"eval", "exec", "compile", "__import__"}


def ours() -> list[Path]:
    return sorted(brought_along(SERVES)[0])


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """The dotted name of everything that is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_there_is_something_to_look_at() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in ours()}
    assert {"models/bundle.py", "models/registry.py", "feature_repo/online.py", "bento/recommender/release.py"} <= names


@pytest.mark.parametrize("path", ours(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_that_serves_has_no_way_to_unpickle_or_to_run_text(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not UNPICKLES & set(imported(tree))
    for name, call in calls(tree):
        last = name.rpartition(".")[2]
        assert name not in RUNS and last not in ("read_pickle", "unpickle"), f"line {call.lineno}: {name}"
        if name in ("torch.load", "yaml.load"):
            raise AssertionError(f"line {call.lineno}: {name} can run what it reads")
        if name in ("np.load", "numpy.load", "np.fromfile"):
            said = {each.arg: each.value for each in call.keywords}
            assert isinstance(allowed := said.get("allow_pickle"), ast.Constant) and allowed.value is False, call.lineno


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".safetensors")])
def test_a_pickle_in_an_arrays_place_is_refused_and_never_read_as_one(
    bundle_dir: Path, tmp_path: Path, name: str
) -> None:
    """With its hash made right: who can write a bundle's folder still runs nothing."""
    folder, mark = tmp_path / "bundle", tmp_path / "it-ran"
    shutil.copytree(bundle_dir, folder)
    raw = pickle.dumps(_Runs(str(mark)))
    (folder / name).write_bytes(raw)
    manifest = folder / "manifest.json"
    said: dict[str, Any] = json.loads(manifest.read_text())
    said["files"][name] = {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
    manifest.write_text(json.dumps(said))
    with pytest.raises(BundleError, match=name):
        Bundle.load(folder)
    assert not mark.exists()
    pickle.loads(raw)
    assert mark.exists(), "it would have run"


class _Runs:
    """What a pickle runs."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self._path),)

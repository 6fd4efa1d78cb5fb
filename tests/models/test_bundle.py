"""A bundle comes back as it was saved, and an altered one is refused by name."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models import bundle as bundle_module
from models.bundle import FILES, MANIFEST, Bundle, BundleError
from models.encoder import ARRAYS
from models.ranker import ranker_features


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    return bundle.save(tmp_path / "bundle")


def edit_manifest(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))


def test_it_comes_back_as_it_was(bundle: Bundle, folder: Path) -> None:
    back = Bundle.load(folder)
    assert back.version == bundle.version
    for name in ("item_ids", "categories", "segments", "feature_names", "data_window", "created", "params"):
        assert getattr(back, name) == getattr(bundle, name), name
    assert all(np.array_equal(back.weights[name], bundle.weights[name]) for name in ARRAYS)
    assert np.array_equal(back.covisitation.data, bundle.covisitation.data)
    assert np.array_equal(back.long_term.data, bundle.long_term.data)
    assert np.array_equal(back.fusion.weights, bundle.fusion.weights)
    assert np.array_equal(back.stale_fusion.weights, bundle.stale_fusion.weights)
    assert sorted(p.name for p in folder.iterdir()) == sorted([*FILES, MANIFEST])


def test_no_file_is_a_pickle(folder: Path) -> None:
    for name in FILES:
        head = (folder / name).read_bytes()[:2]
        assert head[:1] != b"\x80", name
        assert head != b"PK", name


@pytest.mark.parametrize("name", FILES)
def test_an_altered_file_is_named(folder: Path, name: str) -> None:
    raw = bytearray((folder / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / name).write_bytes(raw)
    with pytest.raises(BundleError, match=f"^{name}: its sha256"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        Bundle.load(folder)


def test_a_missing_field_and_another_format_are_named(folder: Path) -> None:
    edit_manifest(folder, format=99)
    with pytest.raises(BundleError, match="format is 99"):
        Bundle.load(folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["segments"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="segments"):
        Bundle.load(folder)


def test_features_that_differ_from_the_running_code_are_named(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle.check_features()
    live = ranker_features()
    monkeypatch.setattr(bundle_module, "ranker_features", lambda: (*live[:3], "moon_phase", *live[4:]))
    with pytest.raises(BundleError, match=f"feature 3: .* trained on {live[3]}, this code computes moon_phase"):
        bundle.check_features()
    monkeypatch.setattr(bundle_module, "ranker_features", lambda: (*live, "moon_phase"))
    with pytest.raises(BundleError, match=f"feature {len(live)}: .* trained on nothing"):
        bundle.check_features()


def test_a_feature_list_that_is_not_the_rankers_is_refused(folder: Path, bundle: Bundle) -> None:
    edit_manifest(folder, feature_names=[*bundle.feature_names[:-1], "moon_phase"])
    with pytest.raises(BundleError, match=r"ranker\.txt: its features"):
        Bundle.load(folder)


def test_arrays_of_other_items_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    other = dataclasses.replace(bundle, item_ids=bundle.item_ids[:-1])
    with pytest.raises(BundleError, match="item_vectors"):
        Bundle.load(other.save(tmp_path / "other"))


def test_a_bundle_without_a_ranker_cannot_be_saved(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="ranker"):
        dataclasses.replace(bundle, ranker=None).save(tmp_path / "none")


def test_serving_imports_no_torch(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from models.bundle import Bundle; from models.scorer import Scorer;"
        f"b = Bundle.load(Path({str(folder)!r})); Scorer(b, b.new_item_table(), 200);"
        "print(sorted({'torch', 'mlflow', 'feast'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

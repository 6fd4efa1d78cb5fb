"""One release: a folder of plain arrays and text with a manifest of hashes; nothing in it is code or pickle.

manifest.json             format, ids of the features, vocabulary, metrics, data window, sha256 of every other file
items.json                item ids, in the order of all arrays
retriever.safetensors     the two-tower net's weights
covisitation.safetensors  what people go on to after an item
long_term.safetensors     what goes with all that a user has met
fusion.json               the log-linear fusions: of live states and of states that stand still
ranker.txt                LightGBM's text format
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from feature_repo.item_table import ItemTable
from models.encoder import ARRAYS, UserEncoder
from models.fusion import Fusion
from models.neighbours import Neighbours
from models.ranker import Ranker, ranker_features
from models.sources import SOURCE_FEATURES, SOURCES

T = TypeVar("T")

FORMAT = 2
MANIFEST = "manifest.json"
FILES = (
    "items.json",
    "retriever.safetensors",
    "covisitation.safetensors",
    "long_term.safetensors",
    "fusion.json",
    "ranker.txt",
)


class BundleError(ValueError):
    """A bundle cannot be used; the message names the file or field."""


@dataclass(frozen=True)
class Bundle:
    """Everything that one release serves with.

    Attributes:
        item_ids: the items of the training; the first rows of every item table and of every array.
        categories, segments: vocabularies of the item table and of the user's profile.
        feature_names: the ordered list that the ranker was trained on.
        fusion, stale_fusion: of sources whose state is live, and of a state that stands still.
        ranker: None only while training has not come to it; such a bundle ranks by the fusion and cannot be saved.
        metrics: quality on the test window, name -> figure.
        data_window: first and last event used and their number.
        created: when it was made, ISO 8601 UTC.
    """

    item_ids: tuple[str, ...]
    categories: tuple[str, ...]
    segments: tuple[str, ...]
    feature_names: tuple[str, ...]
    weights: Mapping[str, NDArray[np.float32]]
    covisitation: Neighbours
    long_term: Neighbours
    fusion: Fusion
    stale_fusion: Fusion
    ranker: Ranker | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    data_window: Mapping[str, int] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @cached_property
    def version(self) -> str:
        """Name of the release: its time and the first digits of the hash of its content."""
        stamp = self.created[:19].replace("-", "").replace(":", "")
        digest = hashlib.sha256("".join(_sha256(raw) for raw in self._files().values()).encode())
        return f"{stamp}-{digest.hexdigest()[:8]}"

    def encoder(self) -> UserEncoder:
        """The user encoder over this bundle's weights."""
        return UserEncoder(self.weights, self.segments)

    def new_item_table(self, arrays: Mapping[str, NDArray[Any]] | None = None) -> ItemTable:
        """An item table in which this bundle's items have the numbers that its arrays use.

        Args:
            arrays: where its columns lie; None: empty ones of its own.
        """
        table = ItemTable(self.categories, arrays)
        for item_id in self.item_ids:
            table.number(item_id)
        return table

    def contributions(self, matrix: NDArray[np.float32], stale: bool = False) -> NDArray[np.float64]:
        """How much each feature moves each score, by the fusion and by the trees: float64 as the matrix.

        Args:
            matrix: the ranker's rows, [n, len(feature_names)].
            stale: whether the stale fusion made the scores, without trees.
        """
        trees, fusion = (None, self.stale_fusion) if stale else (self.ranker, self.fusion)
        shares = trees.contributions(matrix) if trees else np.zeros(matrix.shape)
        first = self.feature_names.index(SOURCE_FEATURES[0])
        sources = slice(first, first + len(SOURCE_FEATURES))
        shares[:, sources] += fusion.contributions(matrix[:, sources])
        return shares

    def check_features(self) -> None:
        """Raise BundleError naming the first feature in which the bundle and the running code differ."""
        live = ranker_features()
        for n in range(max(len(live), len(self.feature_names))):
            trained = self.feature_names[n] if n < len(self.feature_names) else "nothing"
            now = live[n] if n < len(live) else "nothing"
            if trained != now:
                raise BundleError(
                    f"feature {n}: the bundle's ranker was trained on {trained}, this code computes {now}; "
                    "train a new bundle with this code or run the code that made this one"
                )

    def save(self, path: Path) -> Path:
        """Write the bundle into a folder (made when absent; its files are overwritten). Returns the folder."""
        path.mkdir(parents=True, exist_ok=True)
        files = self._files()
        for name, raw in files.items():
            (path / name).write_bytes(raw)
        manifest = self._manifest() | {
            "files": {name: {"sha256": _sha256(raw), "bytes": len(raw)} for name, raw in files.items()}
        }
        (path / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        return path

    def _files(self) -> dict[str, bytes]:
        if self.ranker is None:
            raise BundleError("ranker.txt: this bundle has no ranker yet")
        return {
            "items.json": _json(self.item_ids),
            "retriever.safetensors": save_arrays({name: np.ascontiguousarray(self.weights[name]) for name in ARRAYS}),
            "covisitation.safetensors": _rows(self.covisitation),
            "long_term.safetensors": _rows(self.long_term),
            "fusion.json": _json(
                {"features": SOURCE_FEATURES, "live": self.fusion.as_json(), "stale": self.stale_fusion.as_json()}
            ),
            "ranker.txt": self.ranker.text.encode(),
        }

    def _manifest(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": self.version,
            "created": self.created,
            "feature_names": self.feature_names,
            "categories": self.categories,
            "segments": self.segments,
            "metrics": dict(self.metrics),
            "data_window": dict(self.data_window),
            "params": dict(self.params),
        }

    @classmethod
    def load(cls, path: Path) -> Bundle:
        """Read and verify a bundle.

        Raises:
            BundleError: a file is missing, altered or not listed, or a field is missing or does not fit.
        """
        manifest = _read_manifest(path)
        raw = _verified_files(path, manifest["files"])
        fusion = _parse("fusion.json", lambda: json.loads(raw["fusion.json"]))
        if fusion["features"] != list(SOURCE_FEATURES) or sorted(fusion["live"]["source_weights"]) != sorted(SOURCES):
            raise BundleError("fusion.json: its sources or features are not those of the running code; train a new one")
        bundle = cls(
            item_ids=tuple(_parse("items.json", lambda: json.loads(raw["items.json"]))),
            categories=tuple(manifest["categories"]),
            segments=tuple(manifest["segments"]),
            feature_names=tuple(manifest["feature_names"]),
            weights=_parse("retriever.safetensors", lambda: load_arrays(raw["retriever.safetensors"])),
            covisitation=_neighbours("covisitation.safetensors", raw),
            long_term=_neighbours("long_term.safetensors", raw),
            fusion=_parse("fusion.json", lambda: Fusion.from_json(fusion["live"])),
            stale_fusion=_parse("fusion.json", lambda: Fusion.from_json(fusion["stale"])),
            ranker=_parse("ranker.txt", lambda: Ranker(raw["ranker.txt"].decode())),
            metrics=manifest["metrics"],
            data_window=manifest["data_window"],
            params=manifest["params"],
            created=manifest["created"],
        )
        bundle._check_shapes()
        return bundle

    def _check_shapes(self) -> None:
        n = len(self.item_ids)
        for name in ARRAYS:
            if name not in self.weights:
                raise BundleError(f"retriever.safetensors: array {name} is missing")
        for name in ("item_vectors", "item_bias", "token_vectors", "token_gate"):
            if len(self.weights[name]) != n:
                raise BundleError(f"retriever.safetensors: {name} has {len(self.weights[name])} rows for {n} items")
        for name in ("covisitation", "long_term"):
            if (rows := len(getattr(self, name))) != n:
                raise BundleError(f"{name}.safetensors: {rows} rows for {n} items")
        if self.ranker is None or tuple(self.ranker.features) != self.feature_names:
            raise BundleError("ranker.txt: its features are not the manifest's feature_names")


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except FileNotFoundError:
        raise BundleError(f"{path}: no {MANIFEST} in this folder") from None
    except ValueError as error:
        raise BundleError(f"{MANIFEST}: not JSON ({error})") from None
    required = ("format", "created", "feature_names", "categories", "segments", "metrics", "data_window", "params")
    for name in (*required, "files"):
        if name not in manifest:
            raise BundleError(f"{MANIFEST}: field {name} is missing")
    if manifest["format"] != FORMAT:
        raise BundleError(f"{MANIFEST}: format is {manifest['format']}, this code reads {FORMAT}")
    return dict(manifest)


def _verified_files(path: Path, listed: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    files = {}
    for name in FILES:
        if name not in listed:
            raise BundleError(f"{MANIFEST}: file {name} is not listed")
        try:
            files[name] = (path / name).read_bytes()
        except FileNotFoundError:
            raise BundleError(f"{name}: missing from {path}") from None
        if _sha256(files[name]) != listed[name]["sha256"]:
            raise BundleError(f"{name}: its sha256 is not the manifest's; the file was altered or cut short")
    return files


def _rows(neighbours: Neighbours) -> bytes:
    return save_arrays({name: getattr(neighbours, name) for name in ("indptr", "indices", "data")})


def _neighbours(name: str, raw: Mapping[str, bytes]) -> Neighbours:
    return _parse(name, lambda: Neighbours(**load_arrays(raw[name])))


def _parse(name: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except Exception as error:  # every library has errors of its own here; the file is what matters
        raise BundleError(f"{name}: cannot be read ({error})") from error


def _json(value: Sequence[Any] | Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode()


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()

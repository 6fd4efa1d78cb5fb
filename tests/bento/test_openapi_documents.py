"""The OpenAPI documents that the page's client is made of are those of today's services."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bento.openapi import FOLDER, documents, main, text


def test_the_files_say_what_the_services_say() -> None:
    made = {f"{service}.json": text(document) for service, document in documents().items()}
    kept = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert kept == made, "the API has changed: run `python -m bento.openapi`, and build the page anew"


def test_the_command_writes_them_into_a_folder_that_it_makes(tmp_path: Path) -> None:
    main(tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "console.json",
        "ingest.json",
        "recommender.json",
    ]
    assert (tmp_path / "new" / "console.json").read_text().endswith("}\n")


@pytest.mark.parametrize("service", ["ingest", "recommender", "console"])
def test_every_refusal_has_the_one_shape(service: str) -> None:
    paths = json.loads((FOLDER / f"{service}.json").read_text())["paths"]
    shapes = {
        (path, status): content["schema"]
        for path, methods in paths.items()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if int(status) >= 400
        for content in answer.get("content", {"": {"schema": None}}).values()
    }
    assert shapes
    assert set(map(json.dumps, shapes.values())) == {json.dumps({"$ref": "#/components/schemas/ErrorAnswer"})}


def test_what_asks_for_the_key_says_so_and_what_a_visitor_needs_does_not() -> None:
    paths = documents()["console"]["paths"]
    locked = {path for path, methods in paths.items() if "security" in methods["get"] and path != "/config"}
    assert locked == {
        "/users",
        "/inspect/users/{user_id}",
        "/inspect/items/{item_id}",
        "/vitals",
        "/models",
        "/drift",
    }
    for path in locked:
        assert {"401", "403"} <= set(paths[path]["get"]["responses"])
    for path in set(paths) - locked:
        assert not {"401", "403"} & set(paths[path]["get"]["responses"])

"""The OpenAPI documents of the three services, as files: ``python -m bento.openapi [folder]`` (docs/openapi).

The page's typed client is made of them, and a test compares them with what the services say.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from infra.settings import ROOT

FOLDER = ROOT / "docs" / "openapi"


def documents() -> dict[str, dict[str, Any]]:
    """Service -> its document."""
    from bento.console.app import build_api
    from bento.ingest.app import build_app
    from bento.recommender.app import create_app

    return {"ingest": build_app().openapi(), "recommender": create_app().openapi(), "console": build_api().openapi()}


def text(document: dict[str, Any]) -> str:
    """A document as it is written: sorted, so that a difference is a change."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main(folder: Path) -> None:
    """Write every document into a folder, which is made when absent."""
    folder.mkdir(parents=True, exist_ok=True)
    for service, document in documents().items():
        (folder / f"{service}.json").write_text(text(document))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

"""The images' recipes, without a Docker daemon: what they copy is there, is enough, and is all that they may run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy_imports import brought_along, distributions, pins
from docker.utils import exclude_paths
from dockerfile_parse import DockerfileParser

from infra.processes import free_ports
from infra.settings import ROOT, Settings

FOLDER = ROOT / "infra" / "docker"
PYTHON = {
    "ingest": ["bento.ingest.service"],
    "recommender": ["bento.recommender.service"],
    "console": ["bento.console.__main__"],
    "stream": ["flows.stream", "flows.cluster", "flows.outcomes", "flows.eraser", "infra.topics"],
    "flows": [
        each["entrypoint"].rpartition(".")[0]
        for each in yaml.safe_load((ROOT / "flows" / "prefect.yaml").read_text())["deployments"]
    ],
}
"""Image -> the modules that its commands start."""
IMAGES = (*PYTHON, "frontend")
WITHOUT_TORCH = tuple(name for name in IMAGES if name != "flows")
PORTS = {"ingest": "ingest_port", "recommender": "recommender_port", "console": "console_port"}
PORTS |= {"stream": "stream_metrics_port", "frontend": "console_port"}


@cache
def recipe(image: str) -> list[tuple[str, str]]:
    """Instruction and value of each line."""
    parser = DockerfileParser(fileobj=(FOLDER / f"{image}.Dockerfile").open("rb"))
    return [(line["instruction"], line["value"]) for line in parser.structure if line["instruction"] != "COMMENT"]


def values(image: str, instruction: str) -> list[str]:
    return [value for name, value in recipe(image) if name == instruction]


@cache
def sent() -> frozenset[str]:
    """Every file that the builder gets, by .dockerignore."""
    return frozenset(exclude_paths(str(ROOT), (ROOT / ".dockerignore").read_text().splitlines()))


def copies(image: str) -> list[tuple[list[str], str]]:
    """Sources in the repository and the target of each COPY."""
    lines = [line.split() for line in values(image, "COPY") if "--from=" not in line]
    words = [[word for word in line if not word.startswith("--")] for line in lines]
    return [(line[:-1], line[-1]) for line in words]


def files_of(source: str) -> list[Path]:
    return sorted(path for found in ROOT.glob(source.rstrip("/")) for path in _files_below(found))


def _files_below(path: Path) -> list[Path]:
    return [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]


def copied(image: str) -> set[Path]:
    return {file for sources, _ in copies(image) for source in sources for file in files_of(source)}


def test_every_recipe_is_looked_at() -> None:
    assert {path.name.removesuffix(".Dockerfile") for path in FOLDER.glob("*.Dockerfile")} == set(IMAGES)


def test_hadolint_finds_nothing() -> None:
    tool = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([tool, *sorted(FOLDER.glob("*.Dockerfile"))], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_copied_is_there_and_sent(image: str) -> None:
    for sources, _ in copies(image):
        for source in sources:
            names = {path.relative_to(ROOT).as_posix() for path in files_of(source) if "node_modules" not in path.parts}
            assert names, f"COPY {source}: there is no such file"
            assert names & sent(), f"COPY {source}: .dockerignore keeps it back"
            if "*" not in source and (ROOT / source).is_file():
                assert names <= sent()


def test_nothing_else_is_sent() -> None:
    for name in (".git/HEAD", ".env", "requirements.txt", "frontend/dist/index.html", "tests/conftest.py"):
        assert name not in sent()
    assert not any(part in name for name in sent() for part in ("node_modules/", "__pycache__", ".local/"))


@pytest.mark.parametrize("image", IMAGES)
def test_bases_are_pinned_to_the_last_digit(image: str) -> None:
    for base in values(image, "FROM"):
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+-[\w.-]+( AS \w+)?", base), base


@pytest.mark.parametrize("image", IMAGES)
def test_runs_as_nobody_and_tells_how_it_is(image: str) -> None:
    user = values(image, "USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "a number, so that Kubernetes can tell that it is not root"
    last = [name for name, _ in recipe(image)]
    assert last.index("USER") > max(place for place, name in enumerate(last) if name in ("RUN", "COPY"))
    (check,) = values(image, "HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert command[0] in ("python", "wget")
    port = re.search(r"127\.0\.0\.1:(\d+)/", check)
    assert port and port[1] in values(image, "EXPOSE")[0].split()
    if image in PORTS:
        assert int(port[1]) == Settings.model_fields[PORTS[image]].default


@pytest.mark.parametrize("image", PYTHON)
def test_packages_are_pinned_as_everywhere_else(image: str) -> None:
    everywhere, own = pins(ROOT / "requirements.txt"), pins(requirements(image))
    assert {name: everywhere.get(name) for name in own} == own, "`make lock` writes both"
    if image in WITHOUT_TORCH:
        assert not [name for name in own if name.startswith(("torch", "cuda", "triton"))]


def requirements(image: str) -> Path:
    (source,) = [s for sources, target in copies(image) for s in sources if target == "/tmp/requirements.txt"]
    return ROOT / source


@pytest.mark.parametrize("image", PYTHON)
def test_every_import_comes_from_the_image(image: str) -> None:
    files, modules = brought_along(PYTHON[image])
    missing = files - copied(image)
    assert not missing, f"not copied: {sorted(path.relative_to(ROOT).as_posix() for path in missing)}"
    installed = set(pins(requirements(image)))
    absent = {name: known for name, known in distributions(modules).items() if not known & installed}
    assert not absent, f"not in {requirements(image).name}: {absent}"


@pytest.mark.parametrize("image", ["ingest", "recommender", "console", "stream"])
def test_its_modules_can_be_imported_from_what_is_copied(image: str, tmp_path: Path) -> None:
    for sources, target in copies(image):
        if not target.startswith("/"):
            (tmp_path / target).mkdir(parents=True, exist_ok=True)
            for source in sources:
                for file in files_of(source):
                    shutil.copy(file, tmp_path / target)
    modules = [name for name in PYTHON[image] if name != "bento.console.__main__"] or ["bento.console.app"]
    code = f"import {', '.join(modules)}, infra; print(infra.__file__)"
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment |= {"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path), "FRESHET_HOME": str(tmp_path / "home")}
    environment |= {"FEAST_REGISTRY": "registry.db", "FEAST_REDIS": "127.0.0.1:1,db=0", "FEAST_REGISTRY_TYPE": "file"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "infra" / "__init__.py")


@pytest.mark.parametrize("service", ["ingest", "recommender"])
def test_the_image_and_the_bento_are_made_of_the_same(service: str) -> None:
    bento: dict[str, Any] = yaml.safe_load((ROOT / "bento" / service / "bentofile.yaml").read_text())
    included = {file for pattern in bento["include"] for file in files_of(pattern)}
    assert copied(service) == included | {requirements(service)}
    assert requirements(service) == (ROOT / bento["python"]["requirements_txt"]).resolve()
    command = json.loads(values(service, "CMD")[0])
    assert command[:3] == ["bentoml", "serve", bento["service"]]


def test_the_recommender_fits_a_serving_image() -> None:
    heavy = {"torch", "pandas", "feast", "prefect", "pyarrow", "mlflow", "matplotlib"}
    assert not heavy & set(pins(requirements("recommender")))


def test_each_process_of_a_dataflow_keeps_its_own_part_of_the_recovery_store(tmp_path: Path) -> None:
    ports = free_ports("127.0.0.1", 2)
    addresses = ";".join(f"127.0.0.1:{port}" for port in ports)
    shutil.copy(ROOT / "tests" / "deploy_counting.py", tmp_path)

    def start(number: int) -> subprocess.Popen[bytes]:
        own = {"BYTEWAX_ADDRESSES": addresses, "BYTEWAX_PROCESS_ID": str(number), "SNAPSHOT_EVERY_S": "1"}
        own |= {"FRESHET_HOME": str(tmp_path / f"home-{number}"), "PYTHONPATH": str(tmp_path)}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.Popen(
            ["/bin/sh", FOLDER / "dataflow.sh", "deploy_counting", "recovery"], env=os.environ | own | {"PATH": path}
        )

    def run() -> list[int]:
        """Until one of them is killed; the other must end by itself."""
        both = [start(0), start(1)]
        before = _snapshots(tmp_path)
        try:
            while _snapshots(tmp_path) < before + 8:
                assert [process.poll() for process in both] == [None, None]
                time.sleep(0.2)
            both[1].kill()
            return [process.wait(60) for process in both]
        finally:
            for process in both:
                process.kill()

    first, _ = run()
    assert first != 0, "else nobody would start it again"
    for number in (0, 1):
        folder = tmp_path / f"home-{number}" / "recovery"
        assert [path.name for path in folder.glob("*.sqlite3")] == [f"part-{number}.sqlite3"]
    run()
    resumed = sorted(line.split() for path in tmp_path.glob("resumed-*") for line in path.read_text().splitlines())
    starts = {part: [int(at) for name, at in resumed if name == part] for part in ("a", "b")}
    for counts in starts.values():
        assert counts[0] == 0 and counts[1] > 0, "a second start goes on where the first one was"


def _snapshots(folder: Path) -> int:
    """How many snapshots all processes have seen."""
    return sum(len(path.read_text().splitlines()) for path in folder.glob("snapshots-*"))

"""Every command of the README is run, as printed, against a small real system; a few have a reason why not here.

Three lanes run side by side: the system's own life, the ecosystem's tools, and the single parts by hand.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from docs_words import blocks
from page_stack import address, register, wait_for, watched
from readme_shell import KEPT, Answer, Command, Shell, commands
from sample_shop import sample_events, sample_items, sample_users

from feature_repo.events import Event, Item, UserProfile
from feature_repo.schema import VIEWS
from flows.dataset import write_dataset
from flows.loader import load_dataset
from infra.home import read_state
from infra.processes import free_ports, script
from infra.servers import answers
from infra.settings import Settings, any_ports, load_settings
from infra.stack import Stack
from models.bundle import Bundle
from models.recipe import TrainingSettings, train_bundle

NOT_HERE = {
    "make demo": "minutes, and a download: the first thing that a user runs",
    "make test": "this is part of it",
    "make demo-lifecycle": "twelve minutes; tests/benchmarks/test_lifecycle.py has its parts",
    "uv venv": "the network",
    "uv pip install": "the network: some hundred packages; what they are for is built and served here",
    "bentoml containerize": "wants a Docker daemon",
}
"""Beginning of a command that is not run here -> why."""

pytestmark = pytest.mark.timeout(1_500)  # the first test waits for all commands, on whatever else runs here
ORIGIN = "http://127.0.0.1"
DONE = r'"erasure_id":"[^"]+","status":"done"'
USERS, EACH = 60, 12


def is_not_here(command: Command) -> bool:
    return command.text.startswith(tuple(NOT_HERE))


def lane(command: Command) -> str:
    """Which commands wait for each other."""
    if "bytewax.recovery" in whole_block(command):
        return "parts"
    return "tools" if re.match(r"(\S+=\S+ )?\S*(feast|mlflow|bentoml)\b", command.text) else "system"


def whole_block(command: Command) -> str:
    return " ".join(each.text for each in commands() if each.block == command.block)


LANES = {
    name: [each for each in commands() if not is_not_here(each) and (lane(each) == name or each.text.startswith(KEPT))]
    for name in ("system", "tools", "parts")
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """``make up DATASET=folder`` with a small shop, whose ids are numbers as MovieLens' are."""
    folder = tmp_path_factory.mktemp("readme")
    data = write_dataset(folder / "shop", *shop())
    settings = load_settings(
        home=folder / "home",
        retriever_epochs=2,
        release_poll_s=0.5,
        canary_s=0.0,
        gate_margin=-1.0,  # the model that is trained here is made of the same events as the one before
        gate_segments="",
        **any_ports(),
    )
    with ThreadPoolExecutor(1) as beside:
        model = beside.submit(bundle)
        with Stack(settings) as stack, watched(stack):
            load_dataset(stack.settings, data)
            register(stack.settings, [model.result()], folder)
            wait_for(lambda: answers(f"{address(stack, 'recommender')}/ready"))
            yield stack


def bundle() -> Bundle:
    """A first model, in seconds; the README's own training makes the second."""
    items, users, events = shop()
    quick = TrainingSettings(epochs=1, fine_tune_epochs=1, max_moments=60, threads=1)
    return train_bundle(events, items, users, quick)


def shop() -> tuple[list[Item], list[UserProfile], list[Event]]:
    items = sample_items()
    number = {item.item_id: str(n + 1) for n, item in enumerate(items)}
    return (
        [item.model_copy(update={"item_id": number[item.item_id]}) for item in items],
        [user.model_copy(update={"user_id": user.user_id[5:]}) for user in sample_users(USERS)],
        [
            event.model_copy(update={"user_id": event.user_id[5:], "item_id": number[event.item_id]})
            for event in sample_events(USERS, EACH)
        ],
    )


@pytest.fixture(scope="module")
def told(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[Command, Answer]:
    """What every command came to."""
    home = tmp_path_factory.mktemp("user")
    (home / "calm.json").write_text(experiment())
    here = {
        ".local/env": str(stack.settings.home / "env"),
        "localhost:8000": f"localhost:{stack.settings.ingest_port}",
        "localhost:8001": f"localhost:{stack.settings.recommender_port}",
        "calm.json": str(home / "calm.json"),
        "make rollback": "make -o .venv/.installed rollback",  # what is installed is what is tested
        "/tmp/clean/bin/bentoml": script("bentoml"),
    }
    with ThreadPoolExecutor(3) as pool:
        lanes = [
            pool.submit(run_system, Shell(home, here)),
            pool.submit(run_tools, Shell(home, here), stack.settings.offline_dir),
            pool.submit(run_parts, Shell(home, {}, folder=home)),
        ]
        return {command: answer for each in lanes for command, answer in each.result().items()}


def experiment() -> str:
    """The file that the document which the README names shows."""
    block = next(text for _, text in blocks("docs/a-models-life.md") if "cat > calm.json" in text)
    return block.partition("<<'EOF'\n")[2].partition("EOF")[0]


def each_in_its_block(shell: Shell, commands: Sequence[Command]) -> Iterator[tuple[Shell, Command]]:
    """Every command with a shell that has taken in what its block began with."""
    block, current = -1, shell
    for command in commands:
        if command.block != block:
            block, current = command.block, replace(shell, _before=list(shell._before))
        if command.text.startswith(KEPT):
            current.remember(command.text)
        else:
            yield current, command


def run_system(shell: Shell) -> dict[Command, Answer]:
    found: dict[Command, Answer] = {}
    erasure = ""
    shell.remember(f"source {script('activate')}")
    shell.remember("source .local/env")
    for current, command in each_in_its_block(shell, LANES["system"]):
        text = command.text.replace("/erasures/...", f"/erasures/{erasure}")
        found[command] = current.run(text)
        if "DELETE" in text:
            erasure = (re.findall(r'"erasure_id":"([^"]+)"', found[command].said) or ["none"])[0]
            wait_until(lambda text=f"curl -s localhost:8000/erasures/{erasure}": re.search(DONE, shell.run(text).said))
    return found


def run_tools(shell: Shell, offline: Path) -> dict[Command, Answer]:
    found = {}
    shell.remember(f"source {script('activate')}")
    shell.remember("source .local/env")
    late_first = sorted(LANES["tools"], key=lambda command: -command.block)
    for current, command in each_in_its_block(shell, late_first):
        if "materialize" in command.text:  # what the other lane's training lays there
            wait_until(lambda: all((offline / f"{view.name}.parquet").exists() for view in VIEWS), 600)
        if re.search(r"\b(ui|serve)\b", command.text):
            (port,) = free_ports("127.0.0.1", 1)
            path = {"mlflow": "/health", "feast": "/"}.get(command.text.split()[0], "/ready")
            text = re.sub(r" --port \d+", "", command.text) + f" --port {port}"
            text += " --workers 1" if text.startswith("mlflow") else ""
            with current.running(text, lambda url=f"{ORIGIN}:{port}{path}": answers(url)) as found[command]:
                pass
        else:
            found[command] = current.run(command.text)
    return found


def run_parts(shell: Shell) -> dict[Command, Answer]:
    """The block that begins where only the servers run: all of it together, then a user who is forgotten."""
    found: dict[Command, Answer] = {}
    state = shell.home / "parts"
    zero = " ".join(f"{name}=0" for name, field in Settings.variables().items() if field.endswith("_port"))
    shell.remember(f"source {script('activate')}")
    servers = f"FRESHET_HOME={state} {zero} python -m infra.local up --only kafka,redis,postgres"
    all_up = partial(has_all, state, "kafka", "redis", "postgres")
    with shell.running(servers, all_up) as up, ExitStack() as running:
        assert up.code == 0, up.said
        shell.remember(f"source {state}/env")
        ports = dict(zip(("8000", "8001", "metrics"), free_ports("127.0.0.1", 3), strict=True))
        shell.remember(f"export FRESHET_STREAM_METRICS_PORT={ports['metrics']}")
        is_up: dict[str, Callable[[], bool]] = {
            "python -m bytewax.run": lambda: answers(f"{ORIGIN}:{ports['metrics']}/metrics"),
            "bentoml serve bento.ingest": lambda: answers(f"{ORIGIN}:{ports['8000']}/ready"),
            "bentoml serve bento.recommender": lambda: answers(f"{ORIGIN}:{ports['8001']}/health"),
            "python -m flows.eraser": lambda: True,
        }
        for current, command in each_in_its_block(shell, LANES["parts"]):
            text = re.sub(r"--port (\d+)", lambda port: f"--port {ports[port[1]]}", command.text)
            begun = [is_up[each] for each in is_up if text.startswith(each)]
            found[command] = running.enter_context(current.running(text, begun[0])) if begun else current.run(text)
        taken = shell.run(f"curl -s -X DELETE {ORIGIN}:{ports['8000']}/users/1").said
        receipt = f"curl -s {ORIGIN}:{ports['8000']}/erasures/{json.loads(taken)['erasure_id']}"
        wait_until(lambda: '"store":"offline_store","status":"done"' in shell.run(receipt).said)  # by this eraser
    return found


def has_all(home: Path, *parts: str) -> bool:
    state = read_state(load_settings(home=home))
    return state is not None and set(parts) <= set(state["parts"]) and (home / "env").exists()


def wait_until(what: Callable[[], object], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.5)


def test_what_is_not_run_here_is_in_the_readme() -> None:
    assert [each for each in NOT_HERE if not any(command.text.startswith(each) for command in commands())] == []


@pytest.mark.parametrize(
    "command",
    [each for lane in LANES.values() for each in lane if not each.text.startswith(KEPT)],
    ids=lambda c: c.text,
)
def test_a_command_of_the_readme_works_as_printed(told: dict[Command, Answer], command: Command) -> None:
    answer = told[command]
    assert answer.code == 0, answer.said
    assert fields(answer.said) >= fields(command.printed), answer.said


def fields(printed: str) -> set[str]:
    """The names in a JSON answer."""
    return set(re.findall(r'"(\w+)":', printed))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("curl -s localhost:8000/events", r'^\{"status":"accepted","event_id":"[^"]+"\}$'),
        ("curl -s 'localhost:8001/recommend", r'"count":3,"model_version":"[^"]+"'),
        ("feast -c feature_repo get-online-features", r'"event_count": \[\s*12\s*\]'),
        ("prefect deployment run train/freshet", r"Flow run finished successfully"),
        ("prefect deployment run drift/freshet", r"Flow run finished successfully"),
        ("python -m flows.experiments put", r"calm-lists"),
        ("make rollback", r"version 2 was left, version 1 serves again"),
        ("python -m flows.replay", r"replayed|letter"),
        ("curl -X DELETE", r'"status":"accepted","erasure_id":"[^"]+"'),
        ("curl localhost:8000/erasures/", DONE),
        ("bentoml build", r"recommender:"),
    ],
)
def test_and_says_what_it_did(told: dict[Command, Answer], command: str, says: str) -> None:
    said = [answer.said for each, answer in told.items() if each.text.startswith(command)]
    assert said
    assert all(re.search(says, each, re.MULTILINE) for each in said), said

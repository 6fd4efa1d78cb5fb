"""A new release on trial, with real MLflow, Redis and broker under parallel requests: good ones come through; bad ones
give nobody a bad answer and are rolled back by themselves."""

from __future__ import annotations

import math
import random
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.serving import bad_bundles
from bento.recommender.canary import is_in_share
from infra.settings import Settings
from models import registry
from models.announce import announce
from models.bundle import Bundle

SHARE = 0.3
HEAVY = [f"user-{n}" for n in range(60)]
"""The shop's users, of 12 acts each; the self-check's visitors have fewer."""
LIGHT = [f"new-{n}" for n in range(60)]
"""Users of three acts."""
FEWER = 11
"""Some bad bundles are bad to users of more acts."""


@pytest.fixture(scope="session")
def bundles(bundle_dir: Path, second_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Bundles by what is wrong with them; with ``first`` and ``second`` nothing is."""
    folder = tmp_path_factory.mktemp("bundles")
    made: dict[str, Callable[[Bundle], Bundle]] = {
        "NaN for all": lambda bundle: bad_bundles.nan_for(bundle, 0),
        "NaN for some": lambda bundle: bad_bundles.nan_for(bundle, FEWER),
        "slow for all": lambda bundle: bad_bundles.slow_for(bundle, 0),
        "slow for some": lambda bundle: bad_bundles.slow_for(bundle, FEWER),
        "same for all": bad_bundles.same_for_all,
        "wrong shape": bad_bundles.wrong_shape,
        "missing rows": bad_bundles.missing_rows,
        "other features": bad_bundles.other_features,
    }
    found = {name: bad_bundles.saved(bundle_dir, make, folder / name) for name, make in made.items()}
    altered = bad_bundles.altered(bundle_dir, folder / "altered")
    return found | {"first": bundle_dir, "second": second_dir, "altered": altered}


@pytest.fixture(scope="session")
def registry_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One MLflow for all tests here: making its database takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"


@pytest.fixture
def settings(settings: Settings, registry_uri: str) -> Settings:
    """A model of this test alone. The registry is looked at rarely: what is quick here is quick by announcements."""
    own = {"mlflow_tracking_uri": registry_uri, "model_name": f"model-{uuid.uuid4().hex[:8]}"}
    trial = {"release_poll_s": 60.0, "canary_share": SHARE, "canary_s": 600.0, "answer_cache": 0}
    patience = {"dependency_timeout_s": 10.0, "request_timeout_ms": 10_000}  # a slow machine makes no fallbacks
    return settings.model_copy(update=own | trial | patience)


def promoted(settings: Settings, bundle_dir: Path) -> str:
    """Register a bundle, let the champion alias name it, and say so; returns the version."""
    version = registry.register(settings, bundle_dir, {}, {}, {})
    registry.promote(settings, version, settings.model_alias)
    announce(settings)
    return version


class Visitors:
    """Users who ask in parallel without a pause, and every answer that they were given.

    Attributes:
        users: who asks; may be replaced.
    """

    def __init__(self, base_url: str, users: Sequence[str], threads: int = 3) -> None:
        self.users = users
        self.answers: list[dict[str, Any]] = []
        self._client = httpx.Client(base_url=base_url, timeout=20)
        self._stop = threading.Event()
        self._failures: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def _ask(self, seed: int) -> None:
        draw = random.Random(seed)
        while not self._stop.is_set():
            try:
                response = self._client.get(f"/recommend?user_id={draw.choice(self.users)}")
                response.raise_for_status()
                self.answers.append(response.json())
            except httpx.HTTPError as error:
                self._failures.append(repr(error))

    def by(self, version: str) -> list[dict[str, Any]]:
        """Answers by a release, so far."""
        return [answer for answer in list(self.answers) if answer["model_version"] == version]

    def stop(self) -> list[dict[str, Any]]:
        """Every answer; each was a 200, personal, whole, and of finite scores."""
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        assert not self._failures, self._failures[:3]
        for answer in self.answers:
            scores = [item["score"] for item in answer["recommendations"]]
            assert answer["fallback"] is None and answer["count"] == 10, answer
            assert all(score is not None and math.isfinite(score) for score in scores), answer
        return self.answers


class Place:
    """A running recommender, its visitors, and what they see."""

    def __init__(self, api: Any, settings: Settings, users: Sequence[str]) -> None:
        self.api, self.settings = api, settings
        self.visitors = Visitors(str(api.base_url), users)
        self.good = self.model()

    def model(self) -> dict[str, Any]:
        """GET /model."""
        return dict(self.api.get("/model").json())

    def serves(self, version: str) -> bool:
        """Whether everybody is answered by this version."""
        model = self.model()
        return model["registered_version"] == version and model["canary"] is None

    def is_undone(self, version: str, reason: str) -> bool:
        """Whether the registry says that this version was left for the good one, and why."""
        tags = registry.tags_of(self.settings, version)
        champion = registry.champion(self.settings, self.settings.model_alias)
        told = tags.get("rolled_back") == reason and tags.get("release") == f"refused: {reason}"
        return champion == self.good["registered_version"] and told


Open = Callable[..., Place]


@pytest.fixture
def opened(
    settings: Settings, shop: Any, bundles: Mapping[str, Path], serve: Callable[[Settings], Any]
) -> Iterator[Open]:
    """``opened(first, users, canary_s=...)``: the shop with its first champion, and visitors who ask."""
    for user in LIGHT:
        shop.click(user, "garden-1", "kitchen-2", "music-3")
    places: list[Place] = []

    def open_with(first: str = "first", users: Sequence[str] = HEAVY, **changes: Any) -> Place:
        own = settings.model_copy(update=changes)
        promoted(own, bundles[first])
        places.append(Place(serve(own), own, users))
        return places[-1]

    yield open_with
    for place in places:
        place.visitors.stop()


def test_a_good_release_answers_its_share_first_and_then_all(
    opened: Open, bundles: Mapping[str, Path], eventually: Callable[..., Any]
) -> None:
    place = opened(canary_s=4.0)
    visitors = place.visitors
    version = promoted(place.settings, bundles["second"])
    canary = eventually(lambda: place.model()["canary"], 20)
    assert (canary["registered_version"], canary["share"]) == (version, SHARE)
    on_trial = canary["model_version"]
    eventually(lambda: visitors.by(on_trial), 20)
    eventually(lambda: registry.tags_of(place.settings, version).get("release") == "canary", 20)
    eventually(lambda: place.serves(version), 30)
    assert place.model()["previous"]["model_version"] == place.good["model_version"]
    eventually(lambda: registry.tags_of(place.settings, version).get("release") == "serving", 20)
    answers = visitors.stop()
    by_canary = {answer["user_id"] for answer in answers if answer["variant"] == "canary"}
    assert by_canary and by_canary <= {user for user in HEAVY if is_in_share(user, version, SHARE)}
    assert {answer["model_version"] for answer in answers if answer["variant"] == "canary"} == {on_trial}
    assert {answer["model_version"] for answer in answers} == {on_trial, place.good["model_version"]}
    assert answers[-1]["variant"] == "champion" and answers[-1]["model_version"] == on_trial


def test_shares_are_sticky_even_and_others_for_each_version() -> None:
    users = [f"user {n}" for n in range(20_000)]
    first, second = ({user for user in users if is_in_share(user, version, 0.1)} for version in "12")
    assert len(first) == pytest.approx(2_000, rel=0.1) and len(first & second) == pytest.approx(200, rel=0.3)
    assert first <= {user for user in users if is_in_share(user, "1", 0.2)}
    assert not any(is_in_share(user, "1", 0.0) for user in users)


CAUGHT = {
    "NaN for all": "self-check: .*no finite numbers",
    "slow for all": "self-check: a request takes .* more than 3 times as long",
    "same for all": "self-check: 24 visitors were offered 1[0-9] different items",
    "wrong shape": "it cannot be made ready: |self-check: AssertionError in ",
    "missing rows": r"retriever\.safetensors: item_vectors has 59 rows for 60 items",
    "other features": "item_falling",
    "altered": r"items\.json: its sha256",
}
"""Bundle -> why it is refused before anybody is answered by it."""


def test_releases_that_cannot_be_right_answer_nobody_and_are_rolled_back(
    opened: Open, bundles: Mapping[str, Path], eventually: Callable[..., Any]
) -> None:
    place = opened()
    for fault, reason in CAUGHT.items():
        bad = promoted(place.settings, bundles[fault])
        told = eventually(lambda bad=bad: place.model()["refused"].get(bad), 30)
        assert re.search(reason, told), (fault, told)
        eventually(lambda bad=bad, told=told: place.is_undone(bad, told), 20)
        assert place.serves(place.good["registered_version"]) and place.model()["untold"] == []
    assert {answer["model_version"] for answer in place.visitors.stop()} == {place.good["model_version"]}


@pytest.mark.parametrize(
    ("fault", "reason"), [("NaN for some", "no finite numbers"), ("slow for some", "times as long|an answer took")]
)
@pytest.mark.parametrize("on_trial", [True, False], ids=["on trial", "serving all"])
def test_a_release_that_turns_out_bad_is_left_at_once(
    *,
    opened: Open,
    bundles: Mapping[str, Path],
    fault: str,
    reason: str,
    on_trial: bool,
    eventually: Callable[..., Any],
) -> None:
    place = opened(users=LIGHT, canary_s=600.0 if on_trial else 0.5)
    bad = promoted(place.settings, bundles[fault])
    if on_trial:
        eventually(lambda: place.model()["canary"], 30)
    else:
        eventually(lambda: place.serves(bad), 30)
    place.visitors.users = HEAVY
    told = eventually(lambda: place.model()["refused"].get(bad), 60)
    assert re.search(reason, told), told
    assert place.serves(place.good["registered_version"])
    eventually(lambda: place.is_undone(bad, told), 20)
    before = len(place.visitors.answers)
    eventually(lambda: len(place.visitors.answers) > before + 50, 20)
    answers = place.visitors.stop()
    assert {answer["model_version"] for answer in answers[before + 5 :]} == {place.good["model_version"]}
    if fault == "NaN for some":
        by_bad = {a["user_id"] for a in answers if a["model_version"] != place.good["model_version"]}
        assert not by_bad & set(HEAVY), "a request that it answered badly was answered by the good one"
    if on_trial:
        others = [answer for answer in answers if not is_in_share(answer["user_id"], bad, SHARE)]
        assert {answer["model_version"] for answer in others} == {place.good["model_version"]}
    causes = place.api.get("/metrics").text
    assert 'model_rolled_back_total{cause="fault"} 1.0' in causes


def test_what_both_releases_do_wrong_is_no_fault_of_the_new_one(
    opened: Open, bundles: Mapping[str, Path], eventually: Callable[..., Any]
) -> None:
    place = opened(first="NaN for some", users=LIGHT)
    version = promoted(place.settings, bundles["NaN for some"])
    canary = eventually(lambda: place.model()["canary"], 30)
    chosen = [user for user in HEAVY if is_in_share(user, version, SHARE)]
    answers = [place.api.get(f"/recommend?user_id={user}").json() for user in chosen]
    assert {answer["fallback"] for answer in answers} == {"popular"}
    assert place.model()["canary"] == canary and place.model()["refused"] == {}


def test_a_fault_of_similar_items_is_one_too(
    opened: Open, bundles: Mapping[str, Path], eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = opened(canary_share=0.0)
    bad = promoted(place.settings, bundles["second"])
    eventually(lambda: place.serves(bad), 30)

    def broken(*_: Any) -> None:
        raise ValueError("no such row")

    monkeypatch.setattr(place.api.runtime.releases.current.scorer, "similar", broken)
    answer = place.api.get("/items/garden-1/similar").json()
    assert answer["fallback"] is None and answer["model_version"] == place.good["model_version"]
    assert place.model()["refused"] == {bad: "ValueError: no such row"}
    eventually(lambda: place.is_undone(bad, "ValueError: no such row"), 20)

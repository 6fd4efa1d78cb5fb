"""The answer cache gives an answer again only while nothing that it was made of has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bento.recommender.answer_cache import AnswerCache, Chosen
from bento.recommender.ask import Ask, Choice
from bento.recommender.metrics import Metrics
from bento.recommender.release import Release
from bento.recommender.visitors import Visitor
from feature_repo.events import Item
from infra.settings import Settings

DAY_S = 86_400.0
NOW_US = 1_700_000_000_000_000


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["recommendations"]]


def get(api: Any, **query: Any) -> dict[str, Any]:
    response = api.get("/recommend", params={"user_id": "user-1", "k": 5, **query})
    assert response.status_code == 200, response.text
    return dict(response.json())


def counted(api: Any, outcome: str) -> float:
    line = f'freshet_recommender_answer_cache_total{{outcome="{outcome}"}} '
    return float(api.get("/metrics").text.partition(line)[2].partition("\n")[0])


@pytest.fixture
def cached_api(settings: Settings, shop: Any, bundle_dir: Path, serve: Callable[[Settings], Any]) -> Any:
    """Answers may be given again for a day: only a change ends that."""
    changes = {"bundle_dir": bundle_dir, "item_refresh_s": 0.1, "answer_cache_s": DAY_S}
    return serve(settings.model_copy(update=changes))


def test_the_same_question_is_answered_again_under_an_id_of_its_own(cached_api: Any) -> None:
    first, again = get(cached_api), get(cached_api)
    assert again["recommendations"] == first["recommendations"] and again["fallback"] is None
    assert again["recommendation_id"] != first["recommendation_id"]
    assert again["feature_age_ms"] > first["feature_age_ms"]
    assert (counted(cached_api, "hit"), counted(cached_api, "miss")) == (1, 1)
    assert "reasons" in get(cached_api, explain=True)["recommendations"][0]
    assert "reasons" not in get(cached_api)["recommendations"][0]


def test_after_an_act_the_very_next_answer_is_made_anew(cached_api: Any, shop: Any) -> None:
    for _ in range(5):
        shown = ids(get(cached_api))
        assert ids(get(cached_api)) == shown
        shop.click("user-1", shown[0])
        after = get(cached_api)
        assert shown[0] not in ids(after) and after["feature_age_ms"] < 5_000
    assert (counted(cached_api, "hit"), counted(cached_api, "miss")) == (9, 6), "only what follows an act is new"


def test_other_questions_and_other_users_have_answers_of_their_own(cached_api: Any) -> None:
    first = ids(get(cached_api))
    assert ids(get(cached_api, exclude=first[0])) != first
    assert all(name.startswith("music") for name in ids(get(cached_api, category="music")))
    assert ids(get(cached_api, user_id="user-2")) != first
    assert len(ids(get(cached_api, k=3))) == 3
    assert counted(cached_api, "hit") == 0


def test_replays_sessions_and_unreadable_users_are_not_kept(cached_api: Any) -> None:
    body = {"events": [{"item_id": "garden-1", "event_type": "click"}]}
    for _ in range(2):
        get(cached_api, at="2026-01-01T00:00:00Z")
        get(cached_api, explain=True)
        assert cached_api.post("/recommend", json=body).status_code == 200
    assert (counted(cached_api, "hit"), counted(cached_api, "miss")) == (0, 0)


def test_what_changes_in_the_catalogue_shows_after_the_coarse_clock(
    settings: Settings, shop: Any, bundle_dir: Path, serve: Callable[[Settings], Any], eventually: Callable[..., Any]
) -> None:
    changes = {"bundle_dir": bundle_dir, "item_refresh_s": 0.05, "answer_cache_s": 0.2}
    api = serve(settings.model_copy(update=changes))
    assert get(api, category="news")["count"] == 0
    shop.put_items([Item(item_id="paper", title="Paper", categories=("news",))])
    eventually(lambda: ids(get(api, category="news")) == ["paper"], within_s=2)


def test_it_can_be_switched_off(
    settings: Settings, shop: Any, bundle_dir: Path, serve: Callable[[Settings], Any]
) -> None:
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "answer_cache": 0}))
    assert ids(get(api)) == ids(get(api))
    assert (counted(api, "hit"), counted(api, "miss")) == (0, 0)


@pytest.fixture
def releases(settings: Settings) -> list[Release]:
    """Two releases."""
    from bento.recommender.releases import Releases

    metrics = Metrics()
    return [Releases(settings, None, metrics).current for _ in range(2)]  # type: ignore[arg-type]


def test_another_release_another_row_and_another_moment_end_an_answer(releases: list[Release]) -> None:
    cache = AnswerCache(2, 1.0, Metrics())
    visitor, chosen = Visitor(version=b"1"), Chosen(_choice(), [], NOW_US)
    first, second = releases

    def known(visitor: Visitor = visitor, release: Release = first, now_us: int = NOW_US, **ask: Any) -> bool:
        question = Ask("u", **ask)
        found = cache.get(question, visitor, release, now_us) is chosen
        cache.put(question, visitor, release, now_us, chosen)
        return found

    assert not known() and known()
    assert known(timeout_ms=5), "how long it may take is no part of the question"
    assert not known(visitor=Visitor(version=b"2")) and known(visitor=Visitor(version=b"2"))
    assert not known(visitor=Visitor(version=b"2", live=False))
    assert not known(now_us=NOW_US + 1_000_000) and known(now_us=NOW_US + 1_999_999)
    assert not known(release=second) and not known(release=first)
    assert not known(visitor=Visitor()) and not known(visitor=Visitor()), "whose row was not read has no version"


def test_it_keeps_no_more_than_it_may(releases: list[Release]) -> None:
    cache, visitor, release = AnswerCache(2, 1.0, Metrics()), Visitor(version=b"1"), releases[0]
    cache.get(Ask("u"), visitor, release, NOW_US)
    for k in (1, 2, 3):
        cache.put(Ask("u", k), visitor, release, NOW_US, Chosen(_choice(), [], NOW_US))
    found = [cache.get(Ask("u", k), visitor, release, NOW_US) is not None for k in (1, 2, 3)]
    assert found == [False, True, True]
    cache.put(Ask("u", 4), visitor, release, NOW_US + 1_000_000, Chosen(_choice(), [], NOW_US))
    assert len(cache) == 1, "what nobody can get any more is not kept"


def _choice() -> Choice:
    import numpy as np

    return Choice(np.empty(0, np.intp), np.empty(0, np.float32), [], None, None)

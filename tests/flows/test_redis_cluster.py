"""The dataflow writes to a Redis Cluster what it writes to one Redis: the same bytes, spread over the nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
import redis_servers
from sample_shop import sample_events

from feature_repo.schema import ITEM_FEATURES, USER_FEATURES
from feature_repo.state import States
from infra.settings import Settings


def test_rows_lie_on_the_nodes_of_their_keys(
    settings: Settings, make_log: Callable[[Settings], Any], start_stack: Callable[..., Any], tmp_path: Path
) -> None:
    events = sample_events()[-400:]
    with redis_servers.cluster(settings, tmp_path) as own:
        log = make_log(settings.model_copy(update={"redis_url": own.url}))
        log.send(events)
        start_stack(log.settings, "stream")
        log.expect(events)
        states = States()
        for event in events:
            states.apply(event)
        for view, kept in ((USER_FEATURES, states.users), (ITEM_FEATURES, states.items)):
            wanted = [log.as_stored(view.name, state.row(), state.last_us) for state in kept.values()]
            assert log.rows(view.name, [*kept]) == wanted
        assert min(redis.Redis(port=port).dbsize() for port in own.ports) > 0

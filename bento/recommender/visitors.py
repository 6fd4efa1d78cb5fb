"""Who asks: the user's rows out of Feast's Redis, or a session's events applied in process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from feature_repo.admission import Admission
from feature_repo.events import Event
from feature_repo.online import EntityRequest, OnlineRow, ViewCodec, if_fresh
from feature_repo.schema import (
    ITEM_CATALOG,
    ITEM_FEATURES,
    SEGMENT_FAVOURITES,
    USER_FEATURES,
    USER_PROFILE,
    USER_SEEN,
    View,
)
from feature_repo.state import Row, UserState
from infra.settings import Settings

_USER_CODEC = ViewCodec(USER_FEATURES)


class StoreAway(Exception):
    """Redis did not answer within FRESHET_DEPENDENCY_TIMEOUT_S."""


@dataclass(frozen=True)
class Visitor:
    """What is known of whoever asks.

    Attributes:
        row: the user_features row; None without events.
        time_us: event time of that row, microseconds since the epoch.
        seen: items met before.
        segments: the profile.
        profile_us: when the profile was written; None without one.
        favourites: item id -> share of events in the visitor's segments; read only where there is no row.
    """

    row: Row | None = None
    time_us: int | None = None
    seen: Sequence[str] = ()
    segments: Sequence[str] = ()
    profile_us: int | None = None
    favourites: Mapping[str, float] = field(default_factory=dict)


NOBODY = Visitor()


def session_visitor(events: Sequence[Event], now_us: int, settings: Settings) -> Visitor:
    """The visitor whom these events make, exactly as the stream would: admitted, applied, stored, read as of now.

    Args:
        settings: lateness_s, feature_ttl_s.
    """
    state, admission = UserState(), Admission()
    for event in events:
        if admission.verdict(event, settings.lateness_s) == "new":
            state.apply(event)
    if not state.event_count:
        return NOBODY
    # Through the bytes of Redis and back: float32 there, so float32 here.
    stored = _USER_CODEC.encode(state.row(), state.last_us)
    row = _USER_CODEC.decode([stored[name] for name in _USER_CODEC.hash_fields])
    row = if_fresh(USER_FEATURES, row, now_us, settings.feature_ttl_s)
    if row is None:
        return NOBODY
    return Visitor(row=row.features, time_us=row.time_us, seen=tuple(state.seen_items))


class Visitors:
    """Reads single entities on the request path, without blocking the event loop.

    Args:
        settings: redis_url, dependency_timeout_s, feature_ttl_s.
    """

    def __init__(self, settings: Settings) -> None:
        timeout = settings.dependency_timeout_s
        self._ttl_s = settings.feature_ttl_s
        # One retry, at once, and only of a broken connection: what a restarted Redis leaves in the pool.
        retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
        self._client: Any = redis.asyncio.from_url(
            settings.redis_url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=retry
        )
        self._user = _request(USER_FEATURES, USER_SEEN, USER_PROFILE)
        self._item = _request(ITEM_FEATURES, ITEM_CATALOG)
        self._favourites = _request(SEGMENT_FAVOURITES)

    async def read(self, user_id: str, now_us: int) -> Visitor:
        """A user as of now; raises StoreAway."""
        rows = await self._read(self._user, user_id, now_us)
        user, seen, profile = rows[USER_FEATURES.name], rows[USER_SEEN.name], rows[USER_PROFILE.name]
        segments = tuple(profile.features["segments"] or ()) if profile else ()
        return Visitor(
            row=user.features if user else None,
            time_us=user.time_us if user else None,
            seen=(seen.features["seen_items"] or ()) if seen else (),
            segments=segments,
            profile_us=profile.time_us if profile else None,
            favourites=await self._favourites_of(segments, now_us) if user is None and segments else {},
        )

    async def read_item(self, item_id: str, now_us: int) -> dict[str, OnlineRow | None]:
        """An item's rows by view, as of now; raises StoreAway."""
        return await self._read(self._item, item_id, now_us)

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def _favourites_of(self, segments: Sequence[str], now_us: int) -> dict[str, float]:
        found = await asyncio.gather(*(self._read(self._favourites, segment, now_us) for segment in segments))
        shares: dict[str, float] = {}
        for row in (rows[SEGMENT_FAVOURITES.name] for rows in found):
            if row is not None:
                for item_id, share in zip(row.features["items"] or (), row.features["scores"] or (), strict=False):
                    shares[item_id] = shares.get(item_id, 0.0) + share
        return shares

    async def _read(self, request: EntityRequest, entity_id: str, now_us: int) -> dict[str, OnlineRow | None]:
        try:
            raw = await self._client.hmget(request.key(entity_id), request.hash_fields)
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreAway(str(error)) from None
        rows = request.decode(raw)
        return {view.name: if_fresh(view, rows[view.name], now_us, self._ttl_s) for view in request.views}


def _request(*views: View) -> EntityRequest:
    return EntityRequest([ViewCodec(view) for view in views])

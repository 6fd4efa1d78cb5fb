"""Who asks: the user's rows out of Feast's Redis, or a session's events applied in process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bento.recommender.breaker import Breaker
from bento.recommender.cluster_reader import reader_for
from bento.recommender.connection import StoreAway
from bento.recommender.last_known import LastKnown, Raw
from bento.recommender.metrics import Metrics
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
SEEN_ITEMS = replace(USER_SEEN, fields={"seen_items": USER_SEEN.fields["seen_items"]})
"""What of user_seen a request needs where an item that was ever seen is hidden."""


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
        seen_us: last times of ``seen``, microseconds since the epoch; empty: not read, or a row from before.
        seen_types: types of all acts on them; empty likewise.
        version: the stored bytes that all this was made of; None: nothing was stored, or could be read.
        live: whether these were read now; else they are what this process read last.
    """

    row: Row | None = None
    time_us: int | None = None
    seen: Sequence[str] = ()
    segments: Sequence[str] = ()
    profile_us: int | None = None
    favourites: Mapping[str, float] = field(default_factory=dict)
    seen_us: Sequence[int] = ()
    seen_types: Sequence[int] = ()
    version: bytes | None = None
    live: bool = True

    def unranked(self) -> Visitor:
        """What is known of whom no model is asked about: what is not to be shown to him."""
        return Visitor(seen=self.seen, seen_us=self.seen_us, seen_types=self.seen_types)


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
    return Visitor(
        row=row.features,
        time_us=row.time_us,
        seen=tuple(state.seen_items),
        seen_us=state.seen_us.tolist(),
        seen_types=state.seen_types.tolist(),
    )


class Visitors:
    """Reads single entities on the request path, without blocking the event loop.

    Args:
        settings: redis_url, dependency_timeout_s, feature_ttl_s, last_known_users, last_known_s, last_known_mb.
        metrics: told whether Redis is up.
        seen_view: user_seen, or what of it is needed.
    """

    def __init__(self, settings: Settings, metrics: Metrics, seen_view: View = SEEN_ITEMS) -> None:
        self._ttl_s = settings.feature_ttl_s
        self._user = _request(USER_FEATURES, seen_view, USER_PROFILE)
        self._item = _request(ITEM_FEATURES, ITEM_CATALOG)
        self._favourites = _request(SEGMENT_FAVOURITES)
        self._last = LastKnown(settings.last_known_users, settings.last_known_s, settings.last_known_mb * 2**20)
        trial = self._user.command(self._user.key(""))
        breaker = Breaker("redis", metrics)
        self._reader = reader_for(settings.redis_url, settings.dependency_timeout_s, trial, breaker, self._last.keep)

    async def read(self, user_id: str, now_us: int, within_s: float = float("inf")) -> Visitor:
        """A user as of now.

        Args:
            within_s: the longest wait, if it is shorter than the setting's.

        Raises:
            StoreAway: Redis does not answer in time. Who is remembered is not waited for as long as others.
        """
        key = self._user.key(user_id)
        raw = await self._reader.read(key, self._user.command(key), key in self._last, within_s)
        visitor = self._visitor(raw, self._last.keep(key, raw), now_us)
        if visitor.row is not None or not visitor.segments:
            return visitor
        found = await asyncio.gather(*(self._favourites_of(segment, within_s) for segment in visitor.segments))
        return replace(visitor, favourites=self._shares(found, now_us))

    def remembered(self, user_id: str, now_us: int) -> Visitor | None:
        """A user as he was read last; None when that is too long ago, or never was."""
        known = self._last.get(self._user.key(user_id))
        if known is None:
            return None
        visitor = self._visitor(*known, now_us, live=False)
        if visitor.row is not None or not visitor.segments:
            return visitor
        found = [self._last.get(self._favourites.key(segment)) for segment in visitor.segments]
        return replace(visitor, favourites=self._shares([each[0] for each in found if each], now_us))

    async def read_item(self, item_id: str, now_us: int) -> dict[str, OnlineRow | None]:
        """An item's rows by view, as of now; raises StoreAway."""
        raw = await self._reader.read(b"", self._item.command(self._item.key(item_id)))
        return self._fresh(self._item, raw, now_us)

    async def close(self) -> None:
        """Give the connection back."""
        await self._reader.close()

    def _visitor(self, raw: Raw, version: bytes, now_us: int, live: bool = True) -> Visitor:
        rows = self._fresh(self._user, raw, now_us)
        user, seen, profile = rows[USER_FEATURES.name], rows[USER_SEEN.name], rows[USER_PROFILE.name]
        return Visitor(
            row=user.features if user else None,
            time_us=user.time_us if user else None,
            seen=(seen.features["seen_items"] or ()) if seen else (),
            segments=tuple(profile.features["segments"] or ()) if profile else (),
            profile_us=profile.time_us if profile else None,
            seen_us=(seen.features.get("seen_us") or ()) if seen else (),
            seen_types=(seen.features.get("seen_types") or ()) if seen else (),
            version=version,
            live=live,
        )

    async def _favourites_of(self, segment: str, within_s: float) -> Raw:
        key = self._favourites.key(segment)
        try:
            raw: Raw = await self._reader.read(key, self._favourites.command(key), key in self._last, within_s)
        except StoreAway:
            if (known := self._last.get(key)) is None:
                raise
            return known[0]
        self._last.keep(key, raw)
        return raw

    def _shares(self, found: Iterable[Raw], now_us: int) -> dict[str, float]:
        shares: dict[str, float] = {}
        for raw in found:
            row = self._fresh(self._favourites, raw, now_us)[SEGMENT_FAVOURITES.name]
            if row is not None:
                for item_id, share in zip(row.features["items"] or (), row.features["scores"] or (), strict=False):
                    shares[item_id] = shares.get(item_id, 0.0) + share
        return shares

    def _fresh(self, request: EntityRequest, raw: Raw, now_us: int) -> dict[str, OnlineRow | None]:
        rows = request.decode(raw)
        return {view.name: if_fresh(view, rows[view.name], now_us, self._ttl_s) for view in request.views}


def _request(*views: View) -> EntityRequest:
    return EntityRequest([ViewCodec(view) for view in views])

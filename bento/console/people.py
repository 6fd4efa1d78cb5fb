"""Users to look at, and items to show."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain, zip_longest

from bento.console.rows import Entity, OnlineRows, moment, part, rows_of
from bento.console.schemas import ItemCard, UserCard
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES, USER_FEATURES, USER_PROFILE
from feature_repo.state import Row

MADE_UP = "visitor-"
"""How the ids of those begin whom the page made up."""

DRAWN = 8
"""So many users are drawn for one that is shown: the busiest of 24 users drawn would hardly be busy."""

_USER_CARD = rows_of(part(USER_FEATURES, "event_count", "last_event_us"), USER_PROFILE)
_ITEM_CARD = rows_of(part(ITEM_FEATURES, "event_count", "mean_value", "value_count"), ITEM_CATALOG)


class People:
    """Answers the questions of the page's cards.

    Args:
        rows: the online store.
    """

    def __init__(self, rows: OnlineRows) -> None:
        self._rows = rows

    async def users(self, count: int) -> list[UserCard]:
        """Users of a random sample, its busiest and its quietest taking turns. Raises Unavailable."""
        drawn = await self._rows.some(USER_FEATURES.entity, DRAWN * count + DRAWN)
        ids = [user_id for user_id in drawn if not user_id.startswith(MADE_UP)]
        cards = [
            _user_card(user_id, entity)
            for user_id, entity in zip(ids, await self._rows.read(_USER_CARD, ids), strict=True)
        ]
        acting = [card for card in cards if card.event_count]
        ranked = sorted(acting or cards, key=lambda card: (-card.event_count, card.user_id))
        return _from_both_ends(ranked, count)

    async def items(self, item_ids: Sequence[str]) -> list[ItemCard]:
        """What a card shows of some items, in their order, without those that nobody named. Raises Unavailable."""
        now_us = time.time_ns() // 1_000
        found = zip(item_ids, await self._rows.read(_ITEM_CARD, item_ids), strict=True)
        return [card for item_id, entity in found if (card := _item_card(item_id, entity, now_us)) is not None]


def _from_both_ends(ranked: Sequence[UserCard], count: int) -> list[UserCard]:
    if len(ranked) <= count:
        busy, quiet = ranked[: (len(ranked) + 1) // 2], ranked[(len(ranked) + 1) // 2 :]
    else:
        busy, quiet = ranked[: (count + 1) // 2], ranked[len(ranked) - count // 2 :]
    turns = chain.from_iterable(zip_longest(busy, reversed(quiet)))
    return [card for card in turns if card is not None]


def _user_card(user_id: str, entity: Entity) -> UserCard:
    acts, profile = (entity.rows[view.name] for view in _USER_CARD.views)
    return UserCard(
        user_id=user_id,
        event_count=acts.features["event_count"] if acts else 0,
        segments=(profile.features["segments"] or []) if profile else [],
        last_event=moment(acts.features["last_event_us"]) if acts else None,
    )


def _item_card(item_id: str, entity: Entity, now_us: int) -> ItemCard | None:
    counted, entry = (entity.rows[view.name] for view in _ITEM_CARD.views)
    if counted is None and entry is None:
        return None
    counts: Row = counted.features if counted else {"event_count": 0, "value_count": 0, "mean_value": 0.0}
    told: Row = entry.features if entry else dict.fromkeys(ITEM_CATALOG.fields)
    # A row of before these fields existed has none: in stock, and for ever.
    expired = bool(told["expires_us"]) and told["expires_us"] <= now_us
    return ItemCard(
        item_id=item_id,
        title=told["title"] or None,
        categories=told["categories"] or [],
        published=moment(told["published_us"]).date() if told["published_us"] else None,
        price=told["price"] or None,
        in_stock=entry is not None and told["in_stock"] in (None, 1) and not expired,
        event_count=counts["event_count"],
        mean_value=counts["mean_value"] if counts["value_count"] else None,
    )

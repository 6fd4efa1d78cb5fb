"""What may be shown: rules that hold whatever model ranks, as masks over the item table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bento.recommender.catalog import Catalog
from bento.recommender.visitors import SEEN_ITEMS, Visitor
from feature_repo.events import EVENT_TYPES, MICROSECONDS
from feature_repo.item_table import ItemTable
from feature_repo.schema import USER_SEEN, View
from feature_repo.state import type_bits
from infra.lists import listed
from infra.settings import Settings, SettingsError

Mask = NDArray[np.bool_]

DAY_US = 86_400 * MICROSECONDS


@dataclass(frozen=True, slots=True)
class SeenRule:
    """Which of the items that a user has met are not shown to him again.

    Attributes:
        days: those last met within so many days; 0: however long ago.
        types: sum of the type bits of which an item must have met one.
    """

    days: float
    types: int

    @classmethod
    def of(cls, settings: Settings) -> SeenRule:
        """From seen_days and seen_event_types. Raises SettingsError for an event type that there is not."""
        wanted = listed(settings.seen_event_types)
        try:
            return cls(settings.seen_days, type_bits(wanted))
        except KeyError as error:
            known = ", ".join(EVENT_TYPES)
            raise SettingsError(
                f"FRESHET_SEEN_EVENT_TYPES: {error.args[0]} is no event type; there are {known}"
            ) from None

    @property
    def takes_all(self) -> bool:
        """Whether everything met counts, so that neither times nor types need to be known."""
        return not self.days and self.types == type_bits(EVENT_TYPES)

    @property
    def view(self) -> View:
        """What this rule needs of the user_seen view."""
        return SEEN_ITEMS if self.takes_all else USER_SEEN

    def hidden(self, visitor: Visitor, now_us: int) -> Sequence[str]:
        """The items that count as seen. A row of before times and types were kept counts whole."""
        seen = visitor.seen
        if self.takes_all or not seen or len(visitor.seen_us) != len(seen) or len(visitor.seen_types) != len(seen):
            return seen
        counts = np.array(visitor.seen_types, np.int64) & self.types != 0
        if self.days:
            counts &= np.array(visitor.seen_us, np.int64) >= now_us - self.days * DAY_US
        return [seen[n] for n in np.flatnonzero(counts).tolist()]


def allowed(
    catalog: Catalog, now_us: float, exclude: Iterable[str] = (), seen: Iterable[str] = (), category: str | None = None
) -> Mask:
    """Which items may be shown: in the catalogue, in stock, not expired, of the category, neither excluded nor seen.

    Returns:
        bool [len(catalog.table)], the caller's own.
    """
    table = catalog.table
    mask = table.offered(now_us).copy()
    if category is not None:
        mask &= in_category(catalog, category)
    mask[_numbers(table, exclude)] = False
    mask[_numbers(table, seen)] = False
    return mask


def among(catalog: Catalog, items: Iterable[str], exclude: Iterable[str] = (), category: str | None = None) -> Mask:
    """Which of some items to rank: known, of the category, not excluded. bool [len(catalog.table)].

    Whoever names items may have those that are out of stock, expired or seen ranked.
    """
    mask = np.zeros(len(catalog.table), bool)
    mask[_numbers(catalog.table, items)] = True
    mask[_numbers(catalog.table, exclude)] = False
    return mask & in_category(catalog, category) if category is not None else mask


def in_category(catalog: Catalog, category: str) -> Mask:
    """Items of a category: bool [len(catalog.table)]; none for an unknown one."""
    mask = np.zeros(len(catalog.table), bool)
    mask[catalog.in_category(category)] = True
    return mask


def _numbers(table: ItemTable, item_ids: Iterable[str]) -> NDArray[np.intp]:
    known = map(table.index.get, item_ids)
    return np.array([n for n in known if n is not None], np.intp)

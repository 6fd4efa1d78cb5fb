"""States moved through history, so that training and evaluation see at each moment what serving would have seen."""

from __future__ import annotations

from collections.abc import Iterable

from feature_repo.events import Event
from feature_repo.item_table import ItemTable
from feature_repo.request_features import empty_user
from feature_repo.state import ItemState, Row, States


class Replay:
    """All users' and items' states as of one clock.

    Args:
        events: in order of time; consumed as the clock goes on.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = iter(events)
        self._next: Event | None = next(self._events, None)
        self.states = States()
        self._changed: set[str] = set()

    def advance(self, until_us: int) -> None:
        """Take in the events strictly before a time."""
        while self._next is not None and self._next.time_us < until_us:
            event = self._next
            self.states.apply(event)
            self._changed.add(event.item_id)
            self._next = next(self._events, None)

    def user_row(self, user_id: str) -> Row:
        """The user_features row; the neutral one for a user without events."""
        state = self.states.users.get(user_id)
        return state.row() if state else empty_user()

    def seen(self, user_id: str) -> list[str]:
        """What the user_seen view holds."""
        state = self.states.users.get(user_id)
        return state.seen_items[:] if state else []

    def item_row(self, item_id: str) -> Row:
        """The item_features row; the neutral one for an item without events."""
        state = self.states.items.get(item_id)
        return state.row() if state else ItemState().row()

    def refresh(self, *tables: ItemTable) -> None:
        """Write the items that changed since the last call into some tables (always the same ones)."""
        for item_id in self._changed:
            row = self.states.items[item_id].row()
            for table in tables:
                table.put_features(item_id, row)
        self._changed.clear()

    def fill(self, table: ItemTable) -> None:
        """Write all items into a table."""
        for item_id, state in self.states.items.items():
            table.put_features(item_id, state.row())

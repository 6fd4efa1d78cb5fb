"""A small made-up shop whose taste can be seen, and a bundle trained on it in a second or two.

Every user likes one category and walks through it in the order of the shelf,
so that what should come next is plain.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np

from feature_repo.events import Event, Item, UserProfile
from models.bundle import Bundle
from models.recipe import TrainingSettings, train_bundle

CATEGORIES = ("garden", "kitchen", "music")
SHELF = 20
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=30)
"""Lately, so that no row is older than its time to live."""


def sample_items() -> list[Item]:
    """SHELF items of each category: ``garden-0``, ``garden-1``, ..."""
    return [
        Item(
            item_id=f"{category}-{n}",
            title=f"{category.title()} {n}",
            categories=(category,),
            published_at=START - timedelta(days=365 * (n % 30)),
            price=1.0 + n,
        )
        for category in CATEGORIES
        for n in range(SHELF)
    ]


def sample_users(count: int = 60) -> list[UserProfile]:
    """Users ``user-0``, ...; the segment tells the category they like."""
    return [
        UserProfile(user_id=f"user-{n}", segments=(f"likes:{CATEGORIES[n % len(CATEGORIES)]}",)) for n in range(count)
    ]


def sample_events(users: int = 60, each: int = 12, seed: int = 0) -> list[Event]:
    """Clicks and purchases in order of time: each user walks along one shelf from a place of his own."""
    random = np.random.default_rng(seed)
    events = []
    for user in range(users):
        category, place = CATEGORIES[user % len(CATEGORIES)], int(random.integers(SHELF))
        start = START + timedelta(hours=float(random.uniform(0, 24 * 7)))
        for step in range(each):
            item = (place + step) % SHELF
            if random.random() < 0.1:
                item = int(random.integers(SHELF))
            events.append(
                Event(
                    user_id=f"user-{user}",
                    item_id=f"{category}-{item}",
                    event_type="purchase" if random.random() < 0.2 else "click",
                    timestamp=start + timedelta(minutes=5 * step),
                    value=None,
                    event_id=f"{user}-{step}",
                )
            )
    return sorted(events, key=lambda event: (event.time_us, event.event_id))


@cache
def sample_bundle(seed: int = 0) -> Bundle:
    """A real bundle, by the same recipe as every other, of the sample shop; the same object every time."""
    settings = TrainingSettings(epochs=30, fine_tune_epochs=5, max_moments=60, seed=seed, threads=1)
    return train_bundle(sample_events(), sample_items(), sample_users(), settings)

"""Settings that name several things, comma separated."""

from __future__ import annotations


def listed(said: str) -> list[str]:
    """The names in their order, without the spaces around them and without empty ones."""
    return [name.strip() for name in said.split(",") if name.strip()]

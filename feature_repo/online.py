"""Feast's Redis rows, written and read fast; equal to the SDK's by test.

``write`` queues one HSET a row on a pipeline; ``read`` asks for whole views in one HMGET an entity. Beside
the rows the writer keeps one sorted set per entity, ``freshet:changed:<join key>``: entity id -> time of
the last write. It is the change feed that lets a reader follow new rows without rereading all.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from feature_repo import wire
from feature_repo.events import MICROSECONDS
from feature_repo.schema import PROJECT, View
from feature_repo.state import Row


class OnlineRow(NamedTuple):
    """One entity's row of one view, as of ``time_us`` (event time, microseconds since the epoch)."""

    features: Row
    time_us: int


class ViewCodec:
    """Writes and reads the rows of one view.

    Args:
        view: its name, entity and fields.
        project: Feast's project name; part of every key.
    """

    def __init__(self, view: View, project: str = PROJECT) -> None:
        self.view = view
        self._project = project.encode()
        self._prefix = wire.entity_prefix(view.entity)
        self._names = tuple(view.fields)
        self._fields = [wire.field_name(view.name, name) for name in self._names]
        self._encoders = [wire.ENCODE[dtype] for dtype in view.fields.values()]
        self._decoders = [wire.DECODE[dtype] for dtype in view.fields.values()]
        self._stamp = f"_ts:{view.name}".encode()
        self.hash_fields: list[bytes] = [*self._fields, self._stamp]

    def key(self, entity_id: str) -> bytes:
        """The Redis key of an entity."""
        return wire.entity_key(self._prefix, entity_id, self._project)

    def encode(self, row: Row, time_us: int) -> dict[bytes, bytes]:
        """The hash fields of one row."""
        fields = {f: enc(row[n]) for f, enc, n in zip(self._fields, self._encoders, self._names, strict=True)}
        fields[self._stamp] = wire.encode_timestamp(time_us)
        return fields

    def decode(self, raw: Sequence[bytes | None]) -> OnlineRow | None:
        """The row from the values of ``hash_fields``; None when the entity has no row in this view.

        A field that was never written (the view grew since) comes back as None, as the SDK gives it.
        """
        stamp = raw[-1]
        if stamp is None:
            return None
        values = {
            name: None if value is None else decode(value)
            for name, decode, value in zip(self._names, self._decoders, raw, strict=False)
        }
        return OnlineRow(values, wire.decode_timestamp(stamp))


def changed_key(entity: str) -> str:
    """The sorted set of an entity type's last writes."""
    return f"freshet:changed:{entity}"


class OnlineStore:
    """Rows of several views over one Redis client.

    Args:
        client: a ``redis.Redis`` that returns bytes.
        views: the views to serve.
    """

    def __init__(self, client: Any, views: Iterable[View], project: str = PROJECT) -> None:
        self._client = client
        self.codecs = {view.name: ViewCodec(view, project) for view in views}

    def write(self, rows: Mapping[str, Mapping[str, tuple[Row, int]]]) -> int:
        """Write rows in one pipeline; the last write of an entity wins. Returns the number of rows.

        Args:
            rows: view name -> entity id -> (features, event time in microseconds).
        """
        now = time.time()
        pipe = self._client.pipeline(transaction=False)
        count = 0
        for view_name, entities in rows.items():
            codec = self.codecs[view_name]
            for entity_id, (row, time_us) in entities.items():
                pipe.hset(codec.key(entity_id), mapping=codec.encode(row, time_us))
            if entities:
                pipe.zadd(changed_key(codec.view.entity), dict.fromkeys(entities, now))
            count += len(entities)
        if count:
            pipe.execute()
        return count

    def remove(self, view_name: str, entity_ids: Iterable[str]) -> int:
        """Remove rows of one view, and the entities' places in the change feed. Returns how many rows there were.

        A hash goes with the last of its fields: an entity's rows of other views stay.
        """
        ids = list(entity_ids)
        if not ids:
            return 0
        codec = self.codecs[view_name]
        pipe = self._client.pipeline(transaction=False)
        for entity_id in ids:
            pipe.hdel(codec.key(entity_id), *codec.hash_fields)
        pipe.zrem(changed_key(codec.view.entity), *ids)
        return sum(map(bool, pipe.execute()[:-1]))

    def read(self, view_name: str, entity_ids: Sequence[str]) -> list[OnlineRow | None]:
        """Rows of one view, in the order of ``entity_ids``; None where an entity has none."""
        codec = self.codecs[view_name]
        pipe = self._client.pipeline(transaction=False)
        for entity_id in entity_ids:
            pipe.hmget(codec.key(entity_id), codec.hash_fields)
        return [codec.decode(raw) for raw in pipe.execute()] if entity_ids else []

    def read_entity(self, entity_id: str, view_names: Sequence[str]) -> dict[str, OnlineRow | None]:
        """Several views of one entity in one HMGET."""
        request = EntityRequest([self.codecs[name] for name in view_names])
        return request.decode(self._client.hmget(request.key(entity_id), request.hash_fields))

    def changed_since(self, entity: str, since_s: float) -> list[tuple[str, float]]:
        """Entities written at or after a time (seconds since the epoch), oldest first, with that time."""
        found = self._client.zrangebyscore(changed_key(entity), since_s, "+inf", withscores=True)
        return [(raw.decode(), score) for raw, score in found]


class EntityRequest:
    """The fields of several views of one entity type, as one HMGET."""

    def __init__(self, codecs: Sequence[ViewCodec]) -> None:
        self._codecs = codecs
        self.views = [codec.view for codec in codecs]
        self.hash_fields = [name for codec in codecs for name in codec.hash_fields]

    def key(self, entity_id: str) -> bytes:
        return self._codecs[0].key(entity_id)

    def decode(self, raw: Sequence[bytes | None]) -> dict[str, OnlineRow | None]:
        rows, at = {}, 0
        for codec in self._codecs:
            end = at + len(codec.hash_fields)
            rows[codec.view.name] = codec.decode(raw[at:end])
            at = end
        return rows


def if_fresh(view: View, row: OnlineRow | None, now_us: int, ttl_s: float) -> OnlineRow | None:
    """The row, or None when its view expires and it is older than ``ttl_s``; Feast does not enforce this on read."""
    if row is None or (view.expires and now_us - row.time_us > ttl_s * MICROSECONDS):
        return None
    return row

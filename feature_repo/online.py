"""Feast's Redis rows, written and read fast; equal to the SDK's by test.

``write`` queues one HSET a row on a pipeline; ``read`` asks for whole views in one HMGET an entity. Beside
the rows the writer keeps one sorted set per entity, ``freshet:changed:<join key>``: entity id -> time of
the last write. It is the change feed that lets a reader follow new rows without rereading all.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
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
        self._encoders = [(name, wire.ENCODE[dtype]) for name, dtype in view.fields.items()]
        self._spans = _spans(view)
        names = [wire.field_name(view.name, name) for name in self._names]
        self.hash_fields: list[bytes] = [*names, f"_ts:{view.name}".encode()]
        *heads, self._stamp_head = (b"$%d\r\n%b\r\n" % (len(name), name) for name in self.hash_fields)
        # Most counts of most rows are zero: these fields are the same bytes each time.
        zeros = [
            _argument(head, wire.ENCODE[dtype](0.0)) if dtype == "float32" else b""
            for head, dtype in zip(heads, view.fields.values(), strict=True)
        ]
        self._plan = [(*each, head, zero) for each, head, zero in zip(self._encoders, heads, zeros, strict=True)]

    def key(self, entity_id: str) -> bytes:
        """The Redis key of an entity."""
        return wire.entity_key(self._prefix, entity_id, self._project)

    def encode(self, row: Row, time_us: int) -> dict[bytes, bytes]:
        """The hash fields of one row."""
        values = [encode(row[name]) for name, encode in self._encoders]
        return dict(zip(self.hash_fields, [*values, wire.encode_timestamp(time_us)], strict=True))

    def arguments(self, row: Row, time_us: int) -> bytes:
        """The hash fields of one row as HSET takes them on the wire: each name and value with its length before it."""
        parts = []
        for name, encode, head, zero in self._plan:
            value = row[name]
            parts.append(zero if zero and not value else _argument(head, encode(value)))
        parts.append(_argument(self._stamp_head, wire.encode_timestamp(time_us)))
        return b"".join(parts)

    def decode(self, raw: Sequence[bytes | None]) -> OnlineRow | None:
        """The row from the values of ``hash_fields``; None when the entity has no row in this view.

        A field that was never written (the view grew since) comes back as None, as the SDK gives it.
        """
        stamp = raw[-1]
        if stamp is None:
            return None
        values: list[Any] = []
        for start, end, decode in self._spans:
            if decode is None:
                values += wire.decode_float_run(raw[start:end])
            else:
                value = raw[start]
                values.append(None if value is None else decode(value))
        return OnlineRow(dict(zip(self._names, values, strict=True)), wire.decode_timestamp(stamp))


def _spans(view: View) -> list[tuple[int, int, Callable[[bytes], Any] | None]]:
    """The fields of a view as (first, end, decoder of one), float32 fields that stand together as one without it."""
    spans: list[tuple[int, int, Callable[[bytes], Any] | None]] = []
    for dtype, fields in groupby(enumerate(view.fields.values()), key=lambda field: field[1]):
        numbers = [n for n, _ in fields]
        if dtype == "float32":
            spans.append((numbers[0], numbers[-1] + 1, None))
        else:
            spans += [(n, n + 1, wire.DECODE[dtype]) for n in numbers]
    return spans


def _argument(head: bytes, value: bytes) -> bytes:
    return b"%b$%d\r\n%b\r\n" % (head, len(value), value)


def changed_key(entity: str) -> str:
    """The sorted set of an entity type's last writes."""
    return f"freshet:changed:{entity}"


class OnlineStore:
    """Rows of several views over one Redis client.

    Args:
        client: what ``infra.redis_url.connect`` gives, or a ``redis.Redis``; it returns bytes.
        views: the views to serve.
    """

    def __init__(self, client: Any, views: Iterable[View], project: str = PROJECT) -> None:
        self._client = client
        self._is_cluster = getattr(client, "is_cluster", False)
        self.codecs = {view.name: ViewCodec(view, project) for view in views}

    def write(self, rows: Mapping[str, Mapping[str, tuple[Row, int]]]) -> int:
        """Write rows at once; the last write of an entity wins. Returns the number of rows.

        Commands are put together here instead of by the client, one HSET an entity: half of the cost of a row. A
        cluster's client puts them together itself: it knows which node has which key.

        Args:
            rows: view name -> entity id -> (features, event time in microseconds).
        """
        hashes: dict[bytes, list[tuple[ViewCodec, Row, int]]] = defaultdict(list)
        changed: dict[str, dict[str, float]] = defaultdict(dict)
        now = time.time()
        for view_name, entities in rows.items():
            codec = self.codecs[view_name]
            for entity_id, (row, time_us) in entities.items():
                hashes[codec.key(entity_id)].append((codec, row, time_us))
            if entities:
                changed[codec.view.entity].update(dict.fromkeys(entities, now))
        if not hashes:
            return 0
        with self._client.pipeline(transaction=False) as pipe:
            for entity, moments in changed.items():
                pipe.zadd(changed_key(entity), moments)
            self._write_hashes(hashes)
            pipe.execute()
        return sum(map(len, hashes.values()))

    def _write_hashes(self, hashes: Mapping[bytes, Sequence[tuple[ViewCodec, Row, int]]]) -> None:
        if not self._is_cluster:
            self._replies([_hset(key, parts) for key, parts in hashes.items()])
            return
        with self._client.pipeline(transaction=False) as pipe:
            for key, parts in hashes.items():
                for codec, row, time_us in parts:
                    pipe.hset(key, mapping=codec.encode(row, time_us))
            pipe.execute()

    def _replies(self, commands: list[bytes]) -> list[Any]:
        """The replies to commands that are put together already, in one round trip."""
        pool = self._client.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_packed_command([b"".join(commands)])
            return [connection.read_response() for _ in commands]
        except BaseException:
            connection.disconnect()  # whatever it still answers belongs to nobody
            raise
        finally:
            pool.release(connection)

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
        return [codec.decode(raw) for raw in self._read(EntityRequest([codec]), entity_ids)]

    def times_us(self, view_name: str, entity_ids: Sequence[str]) -> list[int | None]:
        """Only the times of the rows that ``read`` would give."""
        codec = self.codecs[view_name]
        stamps = self._read(EntityRequest([codec], codec.hash_fields[-1:]), entity_ids)
        return [None if stamp is None else wire.decode_timestamp(stamp) for (stamp,) in stamps]

    def _read(self, request: EntityRequest, entity_ids: Sequence[str]) -> list[list[bytes | None]]:
        if not entity_ids:
            return []
        if not self._is_cluster:
            return self._replies([request.command(request.key(entity_id)) for entity_id in entity_ids])
        with self._client.pipeline(transaction=False) as pipe:
            for entity_id in entity_ids:
                pipe.hmget(request.key(entity_id), request.hash_fields)
            found: list[list[bytes | None]] = pipe.execute()
        return found

    def read_entity(self, entity_id: str, view_names: Sequence[str]) -> dict[str, OnlineRow | None]:
        """Several views of one entity in one HMGET."""
        request = EntityRequest([self.codecs[name] for name in view_names])
        return request.decode(self._client.hmget(request.key(entity_id), request.hash_fields))

    def changed_since(self, entity: str, since_s: float) -> list[tuple[str, float]]:
        """Entities written at or after a time (seconds since the epoch), oldest first, with that time."""
        found = self._client.zrangebyscore(changed_key(entity), since_s, "+inf", withscores=True)
        return [(raw.decode(), score) for raw, score in found]


def _hset(key: bytes, parts: Sequence[tuple[ViewCodec, Row, int]]) -> bytes:
    count = 2 + 2 * sum(len(codec.hash_fields) for codec, _, _ in parts)
    fields = b"".join([codec.arguments(row, time_us) for codec, row, time_us in parts])
    return b"*%d\r\n$4\r\nHSET\r\n$%d\r\n%b\r\n%b" % (count, len(key), key, fields)


class EntityRequest:
    """The fields of several views of one entity type, as one HMGET.

    Args:
        codecs: of the views.
        hash_fields: only these, which ``decode`` cannot read; None: all.
    """

    def __init__(self, codecs: Sequence[ViewCodec], hash_fields: Sequence[bytes] | None = None) -> None:
        self._codecs = codecs
        self.views = [codec.view for codec in codecs]
        self.hash_fields = hash_fields or [name for codec in codecs for name in codec.hash_fields]
        arguments = b"".join(b"$%d\r\n%b\r\n" % (len(name), name) for name in self.hash_fields)
        self._head = b"*%d\r\n$5\r\nHMGET\r\n$" % (2 + len(self.hash_fields))
        self._tail = b"\r\n" + arguments

    def key(self, entity_id: str) -> bytes:
        return self._codecs[0].key(entity_id)

    def command(self, key: bytes) -> bytes:
        """The HMGET of one entity's key, as it goes over the wire."""
        return b"%b%d\r\n%b%b" % (self._head, len(key), key, self._tail)

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

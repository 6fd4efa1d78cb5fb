"""The bytes of Feast's Redis online store, without importing Feast (its import costs seconds).

Layout, as of Feast 0.67 with entity key serialization version 3: one hash per entity, named by the
serialized entity key followed by the project; one hash field per feature, named by the little-endian
murmur3 of ``view:feature`` and holding a serialized ``feast.types.Value``; one field ``_ts:view`` with a
``google.protobuf.Timestamp``. ``tests/contract`` compares every byte with what the SDK writes and reads.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

import mmh3
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from feature_repo.events import MICROSECONDS
from feature_repo.state import Dtype

_STRING = 2  # feast.types.ValueType.STRING


@lru_cache(65_536)  # a row repeats the times and lengths of the row before
def _varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


# Field numbers of feast.types.Value.
_STRING_TAG, _INT64_TAG, _FLOAT_TAG = _tag(2, 2), _tag(4, 0), _tag(6, 5)
_STRINGS_TAG, _INT64S_TAG, _FLOATS_TAG = _tag(12, 2), _tag(14, 2), _tag(16, 2)
_PACKED_TAG = _tag(1, 2)


def _messages() -> tuple[Any, ...]:
    """Message classes with the fields of feast.types.StringList, Int64List and FloatList, and of a Value of these."""
    field = descriptor_pb2.FieldDescriptorProto
    lists = (("Strings", field.TYPE_STRING, 12), ("Int64s", field.TYPE_INT64, 14), ("Floats", field.TYPE_FLOAT, 16))
    file = descriptor_pb2.FileDescriptorProto(name="freshet/lists.proto", package="freshet", syntax="proto3")
    value = file.message_type.add(name="Value")
    value.field.add(name="int64", number=4, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
    for name, item, number in lists:
        file.message_type.add(name=name).field.add(name="val", number=1, type=item, label=field.LABEL_REPEATED)
        kind = {"type": field.TYPE_MESSAGE, "type_name": f".freshet.{name}", "label": field.LABEL_OPTIONAL}
        value.field.add(name=name.lower(), number=number, **kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = [name for name, _, _ in lists] + ["Value"]
    return tuple(GetMessageClass(pool.FindMessageTypeByName(f"freshet.{name}")) for name in names)


_Strings, _Int64s, _Floats, _Value = _messages()

_pack_float = struct.Struct("<f").pack
_ZERO_FLOAT = _FLOAT_TAG + _pack_float(0.0)
_FLOAT_BYTES = len(_ZERO_FLOAT)
_unpack_float = struct.Struct("<f").unpack_from


def _encode_string(value: str) -> bytes:
    raw = value.encode()
    return _STRING_TAG + _varint(len(raw)) + raw


def _encode_int64(value: int) -> bytes:
    return _INT64_TAG + _varint(value)


def _encode_float(value: float) -> bytes:
    return _FLOAT_TAG + _pack_float(value) if value else _ZERO_FLOAT


def _list_message(tag: bytes, body: bytes) -> bytes:
    return tag + _varint(len(body)) + body


def _encode_strings(values: list[str]) -> bytes:
    return _list_message(_STRINGS_TAG, _Strings(val=values).SerializeToString())


def _encode_int64s(values: list[int]) -> bytes:
    try:
        small = bytes(values)
    except ValueError:  # not all of a byte: most lists are of times
        small = b""
    if small and small.isascii():  # a number below 128 is its own varint
        return _list_message(_INT64S_TAG, _list_message(_PACKED_TAG, small))
    return _list_message(_INT64S_TAG, _Int64s(val=values).SerializeToString())


def _encode_floats(values: list[float]) -> bytes:
    return _list_message(_FLOATS_TAG, _Floats(val=values).SerializeToString())


def _decode_string(raw: bytes) -> str:
    _, at = _read_varint(raw, 1)
    return raw[at:].decode()


def _decode_int64(raw: bytes) -> int:
    return int(_Value.FromString(raw).int64)


def _decode_float(raw: bytes) -> float:
    return float(_unpack_float(raw, 1)[0])


# A slice of a repeated field is a list, made twice as fast as by list().
def _decode_strings(raw: bytes) -> list[str]:
    return cast(list[str], _Value.FromString(raw).strings.val[:])


def _decode_int64s(raw: bytes) -> list[int]:
    return cast(list[int], _Value.FromString(raw).int64s.val[:])


def _decode_floats(raw: bytes) -> list[float]:
    return cast(list[float], _Value.FromString(raw).floats.val[:])


def decode_float_run(values: Sequence[bytes | None]) -> Sequence[float | None]:
    """Several float32 values at once; None where one was never written."""
    if None not in values:
        packed = b"".join(cast(Sequence[bytes], values))
        if len(packed) == _FLOAT_BYTES * len(values):
            return _float_run(len(values)).unpack(packed)
    return [None if value is None else _decode_float(value) for value in values]


@lru_cache(64)
def _float_run(length: int) -> struct.Struct:
    return struct.Struct("<" + "xf" * length)


ENCODE: dict[Dtype, Callable[[Any], bytes]] = {
    "string": _encode_string,
    "int64": _encode_int64,
    "float32": _encode_float,
    "strings": _encode_strings,
    "int64s": _encode_int64s,
    "float32s": _encode_floats,
}
DECODE: dict[Dtype, Callable[[bytes], Any]] = {
    "string": _decode_string,
    "int64": _decode_int64,
    "float32": _decode_float,
    "strings": _decode_strings,
    "int64s": _decode_int64s,
    "float32s": _decode_floats,
}


def encode_timestamp(time_us: int) -> bytes:
    """``google.protobuf.Timestamp`` of microseconds since the epoch."""
    seconds, micros = divmod(time_us, MICROSECONDS)
    return (b"\x08" + _varint(seconds) if seconds else b"") + (b"\x10" + _varint(micros * 1_000) if micros else b"")


def decode_timestamp(raw: bytes) -> int:
    """Microseconds since the epoch of a ``google.protobuf.Timestamp``."""
    stamp = Timestamp.FromString(raw)
    return int(stamp.seconds * MICROSECONDS + stamp.nanos // 1_000)


def entity_prefix(join_key: str) -> bytes:
    """The part of a hash's name that comes before the entity's own id."""
    name = join_key.encode()
    return struct.pack("<III", 1, _STRING, len(name)) + name + struct.pack("<I", _STRING)


def entity_key(prefix: bytes, entity_id: str, project: bytes) -> bytes:
    """The name of an entity's hash."""
    raw = entity_id.encode()
    return prefix + struct.pack("<I", len(raw)) + raw + project


def entity_id(key: bytes, prefix: bytes, project: bytes) -> str:
    """The entity of a hash with this name, made by ``entity_key`` with the same prefix and project."""
    return key[len(prefix) + 4 : len(key) - len(project)].decode()


def field_name(view: str, feature: str) -> bytes:
    """The hash field of a feature."""
    return struct.pack("<I", mmh3.hash(f"{view}:{feature}", signed=False))

"""Weights of Caffe models, read from their protocol buffer."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from srfast.errors import InputError

# Field numbers of caffe.proto: NetParameter.layer; LayerParameter.name, blobs; BlobProto.data, shape and the sizes of
# before there were shapes; BlobShape.dim.
_LAYER, _NAME, _BLOBS, _DATA, _SHAPE, _DIM, _OLD_SIZES = 100, 1, 7, 5, 7, 1, (1, 2, 3, 4)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def load_caffemodel(path: Path) -> dict[str, Tensor]:
    """The weights of a .caffemodel as float32 tensors.

    A layer gives ``NAME.weight`` and ``NAME.bias``, with three blobs (batch normalisation) ``NAME.running_mean``
    and ``NAME.running_var``, divided by their weight. Orders of axes are Caffe's, which are PyTorch's.

    Raises:
        InputError: the file is not a Caffe model, or holds no weights.
    """
    state: dict[str, Tensor] = {}
    try:
        for field, layer in _fields(memoryview(path.read_bytes())):
            if field == _LAYER and isinstance(layer, memoryview):
                state |= _layer(layer)
    except (IndexError, ValueError, RuntimeError, struct.error) as error:
        raise InputError(f"{path}: expected a Caffe model, got a corrupt or foreign file ({error})") from None
    if not state:
        raise InputError(f"{path}: expected a Caffe model with weights, got none")
    return state


def _layer(message: memoryview) -> dict[str, Tensor]:
    name, blobs = "", []
    for field, value in _fields(message):
        if isinstance(value, memoryview):
            if field == _NAME:
                name = bytes(value).decode()
            elif field == _BLOBS:
                blobs.append(_blob(value))
    if len(blobs) == 3:
        mean, variance, total = blobs
        return {f"{name}.running_mean": mean / total, f"{name}.running_var": variance / total}
    return {f"{name}.{kind}": blob for kind, blob in zip(("weight", "bias"), blobs, strict=False)}


def _blob(message: memoryview) -> Tensor:
    data = bytearray()
    shape: list[int] = []
    sizes: dict[int, int] = {}
    for field, value in _fields(message):
        if field == _DATA:
            data += value if isinstance(value, memoryview) else struct.pack("<I", value)
        elif field == _SHAPE and isinstance(value, memoryview):
            for dim, length in _fields(value):
                if dim == _DIM:
                    shape += _varints(length) if isinstance(length, memoryview) else [length]
        elif field in _OLD_SIZES and isinstance(value, int):
            sizes[field] = value
    shape = shape or [sizes[k] for k in _OLD_SIZES if k in sizes]
    values = np.frombuffer(bytes(data), "<f4").astype(np.float32)
    if shape and math.prod(shape) != len(values):
        raise ValueError(f"{len(values)} values of shape {str(shape)[:80]}")
    return torch.from_numpy(values).reshape(shape or [-1])


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: an integer, or the bytes of a string, message or packed list."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}")
        part, at = message[at : at + length], at + length
        if len(part) != length or number == 0:
            raise ValueError("it ends early")
        yield number, part if wire == _BYTES else int.from_bytes(part, "little")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")


def _varints(packed: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(packed):
        value, at = _varint(packed, at)
        values.append(value)
    return values

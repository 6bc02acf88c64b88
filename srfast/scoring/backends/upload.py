"""Copies host arrays to a device piece by piece while it works on the previous piece, and results back later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice

import numpy as np
import torch
from torch import Tensor

Piece = Sequence[np.ndarray]
"""A piece: arrays of any type, shape and strides."""


def uploaded(pieces: Iterable[Piece], device: torch.device) -> Iterator[Tensor]:
    """Yields the bytes of each piece's arrays, one after another, as a uint8 tensor on ``device``.

    A tensor is valid until the next is requested; work on it belongs on the current stream of the device. Of several
    pieces, another thread puts the arrays of one together while the caller works on the one before. Memory is bounded
    by two pieces on the host (page-locked) and two on the device: the copy of a piece waits for the work on the last
    but one.
    """
    if device.type != "cuda":
        for piece in pieces:
            _join(piece, buffer := torch.empty(_size(piece), dtype=torch.uint8))
            yield buffer
        return
    pieces = iter(pieces)
    first = list(islice(pieces, 2))
    copies = torch.cuda.Stream(device)
    slots = _Slot(device, copies), _Slot(device, copies)
    ahead: _Slot | None = None
    try:
        with ThreadPoolExecutor(1) as helper:
            for number, piece in enumerate(chain(first, pieces)):
                slot = slots[number % 2]
                buffer = slot.buffer(_size(piece))
                joined = helper.submit(_join, piece, buffer) if len(first) > 1 else None
                if joined is None:
                    _join(piece, buffer)
                if ahead is not None:
                    yield ahead.ready()
                    ahead.used()
                if joined is not None:
                    joined.result()
                slot.send()
                ahead = slot
            if ahead is not None:
                yield ahead.ready()
    finally:  # the buffers go back to the current stream's memory
        torch.cuda.current_stream(device).wait_stream(copies)


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A small array on ``device``, without waiting for work that is queued there."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def fetched(result: Tensor) -> Callable[[], np.ndarray]:
    """Queues the copy of a result to the host; the returned function waits for it."""
    if result.device.type != "cuda":
        return result.numpy
    host = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
    host.copy_(result, non_blocking=True)
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(result.device))

    def wait() -> np.ndarray:
        done.synchronize()
        return host.numpy().copy()  # page-locked memory goes back

    return wait


class _Slot:
    """A page-locked buffer, its copy on the device, and the events that must be over before either is written again."""

    def __init__(self, device: torch.device, copies: torch.cuda.Stream) -> None:
        self._device, self._copies = device, copies
        self._host = torch.empty(0, dtype=torch.uint8)
        self._target = torch.empty(0, dtype=torch.uint8)
        self._size = 0
        self._copied, self._worked = torch.cuda.Event(), torch.cuda.Event()

    def buffer(self, size: int) -> Tensor:
        """The page-locked buffer, once its last copy is over: at once before the first use."""
        self._size = size
        self._copied.synchronize()
        if self._host.numel() < size:
            self._worked.synchronize()
            self._host = torch.empty(size, dtype=torch.uint8, pin_memory=True)
            self._target = torch.empty(size, dtype=torch.uint8, device=self._device)
            self._copies.wait_stream(torch.cuda.current_stream(self._device))  # what used this memory before
        return self._host[:size]

    def send(self) -> None:
        """Queues the copy of the buffer to the device."""
        with torch.cuda.stream(self._copies):
            self._copies.wait_event(self._worked)
            self._target[: self._size].copy_(self._host[: self._size], non_blocking=True)
            self._copied.record(self._copies)

    def ready(self) -> Tensor:
        torch.cuda.current_stream(self._device).wait_event(self._copied)
        return self._target[: self._size]

    def used(self) -> None:
        self._worked.record(torch.cuda.current_stream(self._device))


def _size(piece: Piece) -> int:
    return sum(array.nbytes for array in piece)


def _join(piece: Piece, out: Tensor) -> None:
    """Copies the bytes of the arrays into the buffer, one array after another."""
    begin = 0
    for array in piece:
        part = out[begin : begin + array.nbytes]
        begin += array.nbytes
        if array.dtype == np.uint8 and array.flags.writeable and array.flags.c_contiguous:
            part.copy_(torch.from_numpy(array).flatten())  # on several threads
        elif array.size:
            np.copyto(part.numpy().view(array.dtype).reshape(array.shape), array)

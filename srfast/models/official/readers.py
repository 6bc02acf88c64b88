"""Readers of what networks' authors published: Caffe's protocol buffers and MATLAB's matrices, without either."""

from __future__ import annotations

import io
import math
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srfast.errors import InputError, RunError, reading

# Field numbers of caffe.proto: NetParameter.layer; LayerParameter.name, blobs; BlobProto.data, shape and the sizes of
# before there were shapes; BlobShape.dim.
_LAYER, _NAME, _BLOBS, _DATA, _SHAPE, _DIM, _OLD_SIZES = 100, 1, 7, 5, 7, 1, (1, 2, 3, 4)
_VARINT, _BYTES, _FIXED = 0, 2, {1: 8, 5: 4}


def load_caffemodel(path: Path) -> dict[str, Tensor]:
    """The weights of a .caffemodel as float32 tensors.

    A layer gives ``NAME.weight`` and ``NAME.bias``, with three blobs (batch normalisation) ``NAME.running_mean``
    and ``NAME.running_var``, divided by their weight. Orders of axes are Caffe's, which are PyTorch's.

    Raises:
        InputError: the file is not a Caffe model, or holds no weights.
    """
    state: dict[str, Tensor] = {}
    with reading(f"{path}: expected a Caffe model, got a corrupt or foreign file"):
        for layer in map(_fields, _fields(path.read_bytes())[_LAYER]):
            name, blobs = b"".join(layer[_NAME]).decode(), [_blob(_fields(blob)) for blob in layer[_BLOBS]]
            if len(blobs) == 3:
                mean, variance, total = blobs
                state |= {f"{name}.running_mean": mean / total, f"{name}.running_var": variance / total}
            else:
                state |= {f"{name}.{kind}": blob for kind, blob in zip(("weight", "bias"), blobs, strict=False)}
    if not state:
        raise InputError(f"{path}: expected a Caffe model with weights, got none")
    return state


def _blob(fields: Mapping[int, list[Any]]) -> Tensor:
    dims = [dim for shape in fields[_SHAPE] for dim in _fields(shape)[_DIM]]
    shape = [n for dim in dims for n in ([dim] if isinstance(dim, int) else _varints(io.BytesIO(dim)))]
    shape = shape or [fields[k][-1] for k in _OLD_SIZES if fields[k]]
    values = np.frombuffer(b"".join(fields[_DATA]), "<f4").astype(np.float32)
    return torch.from_numpy(values).reshape(shape or [-1])


def _fields(message: bytes) -> Mapping[int, list[Any]]:
    """The values of each field by its number: integers, or the bytes of strings, messages, lists and fixed numbers."""
    fields: dict[int, list[Any]] = defaultdict(list)
    stream = io.BytesIO(message)
    numbers = _varints(stream)
    for key in numbers:
        wire = key & 7
        if wire == _VARINT:
            value: Any = next(numbers)
        else:
            length = next(numbers) if wire == _BYTES else _FIXED[wire]
            value = stream.read(length)
            if len(value) != length:
                raise ValueError("it ends early")
        fields[key >> 3].append(value)
    return fields


def _varints(stream: io.BytesIO) -> Iterator[int]:
    """The numbers of variable length from here on."""
    value = shift = 0
    while byte := stream.read(1):
        value |= (byte[0] & 127) << shift
        shift += 7
        if shift > 70:
            raise ValueError("a number is too long")
        if byte[0] < 128:
            yield value
            value = shift = 0


def load_mat(path: Path) -> dict[str, Tensor]:
    """The weights of a .mat file as float32 tensors.

    SRCNN (``weights_conv1`` [k * k, out], ``weights_conv2`` [in, k * k, out], ``weights_conv3`` [in, k * k], kernels
    column by column) gives ``conv1.weight`` and so on; FSRCNN (cells ``weights_conv`` of [in, k * k, out], the
    last of them the deconvolution's, ``biases_conv``, ``prelu_conv``, one slope a layer) gives ``convN.weight``,
    ``convN.bias``, ``preluN.weight`` and ``deconv.weight``, kernels as they lie on the image.

    Raises:
        InputError: the file is not such a .mat file.
        RunError: SciPy is not installed.
    """
    if find_spec("scipy") is None:
        raise RunError(f"{path}: .mat files need SciPy", hint="pip install scipy")
    values = _read(path)
    with reading(f"{path}: expected the variables of SRCNN's or FSRCNN's authors, got others"):
        return _srcnn(values) if "weights_conv1" in values else _fsrcnn(values)


LARGEST = 256 << 20
"""Largest size of a file in bytes; the authors' files take less than one MB."""
_CHILD = """
import sys
sys.path[:] = sys.argv[2:]
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:
    pass
import numpy as np
from scipy.io import loadmat
out = {}
for name, value in loadmat(sys.argv[1]).items():
    if isinstance(value, np.ndarray) and value.dtype == object:
        out |= {f"{name}/{i}": np.asarray(v, np.float32) for i, v in enumerate(value.ravel())}
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        out[name] = np.asarray(value, np.float32)
np.savez(sys.stdout.buffer, **out)
"""


def _read(path: Path) -> dict[str, Any]:
    """The variables, with a cell array as a list, read in a process of its own, since a malicious file can crash SciPy.

    The process is limited to 4 GiB of memory and a minute, if the system can do that.
    """
    if path.stat().st_size > LARGEST:
        raise InputError(f"{path}: refused, expected a MATLAB file of at most {LARGEST >> 20} MiB")
    command = [sys.executable, "-I", "-c", _CHILD, str(path.absolute()), *sys.path]
    done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1][:160] if said and done.returncode > 0 else "reading it ends the process"
        raise InputError(f"{path}: expected a MATLAB file, got a corrupt or foreign one ({reason})")
    values: dict[str, Any] = {}
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as arrays:
        for key in arrays.files:
            name, cell, _ = key.partition("/")
            if cell:
                values.setdefault(name, []).append(arrays[key])
            else:
                values[name] = arrays[key]
    return values


def _srcnn(values: dict[str, Any]) -> dict[str, Tensor]:
    first, last = values["weights_conv1"], values["weights_conv3"]
    state: dict[str, Tensor] = {}
    for i, weight in enumerate((first[None], values["weights_conv2"], last[:, :, None]), 1):
        state |= {f"conv{i}.weight": _kernels(weight), f"conv{i}.bias": _vector(values[f"biases_conv{i}"])}
    return state


def _fsrcnn(values: dict[str, Any]) -> dict[str, Tensor]:
    weights, biases, slopes = (list(values[k]) for k in ("weights_conv", "biases_conv", "prelu_conv"))
    state: dict[str, Tensor] = {}
    for i, weight in enumerate(weights[:-1]):
        state |= {f"conv{i}.weight": _kernels(weight), f"conv{i}.bias": _vector(biases[i])}
        state[f"prelu{i}.weight"] = _vector(slopes[i])
    # [1, k * k, in]: a transposed convolution, whose axes are [in, out, k, k].
    return {**state, "deconv.weight": _kernels(weights[-1]), "deconv.bias": _vector(biases[-1])}


def _kernels(weight: np.ndarray) -> Tensor:
    """[in, k * k, out], kernels column by column, -> [out, in, k, k]."""
    inputs, area, outputs = weight.shape if weight.ndim == 3 else (*weight.shape, 1)
    side = round(area**0.5)
    kernels = np.asarray(weight, np.float32).reshape(inputs, side, side, outputs, order="F")
    return torch.from_numpy(np.ascontiguousarray(kernels.transpose(3, 0, 1, 2)))


def _vector(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32).ravel().copy())


State = dict[str, Tensor]
Options = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """The weights of one network as one source arranges them."""

    model: str
    """A name of ``models.names()``."""
    source: str
    """The code from which the names are."""
    marks: tuple[str, ...]
    """Tensors that every file of this layout has."""
    names: Mapping[str, str]
    """Their module -> ours; ``{n}`` stands for a number, ``{n-1}`` for the one before, ``{kind}`` for a word."""
    options: Callable[[State], Options]
    """Function from the tensors, by their names, to the sizes of the network."""
    scale: Callable[[State], int] | None = None
    """Function from the tensors, by their names, to the scale; None if weights are alike at all scales."""
    unused: tuple[str, ...] = ()
    """Regular expressions of tensors that do not reach the output or are constants."""
    convert: Callable[[State, State, int], State] | None = None
    """Function from (tensors by our names, by theirs, scale) to ours: changes of values and of their order."""
    mean_range: float = 0.0
    """Our range, if a mean shift comes before and after (``sub_mean``, ``add_mean``)."""
    single_unit: bool = False
    """Whether the number of units does not follow from the weights, as for DRRN; a file name may have it (``B1U9``)."""

    @cached_property
    def patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """``names`` as patterns of their modules: a group of one letter is a number, of more a word."""

        def group(name: str) -> str:
            return rf"(?P<{name}>\d+)" if len(name) == 1 else rf"(?P<{name}>[a-z]+\d*)"

        parted = [(re.split(r"\{(\w+)\}", theirs), ours) for theirs, ours in self.names.items()]
        texts = ["".join(group(p) if i % 2 else re.escape(p) for i, p in enumerate(parts)) for parts, _ in parted]
        return [(re.compile(text), ours) for text, (_, ours) in zip(texts, parted, strict=True)]


def count(state: State, pattern: str) -> int:
    """The number of different values of the group of ``pattern`` in the names."""
    return len({m[1] for m in (re.fullmatch(pattern, k) for k in state) if m})


def sizes(**known: Any) -> Callable[[State], Options]:
    """Function from the tensors to the sizes of the network: each is the number of outputs of the tensor of a name, the
    ratio of those of two, the ``count`` of a pattern, which has a group, what a function returns, or a constant."""

    def size(state: State, of: Any) -> Any:
        if isinstance(of, tuple):
            return size(state, of[0]) // size(state, of[1])
        if isinstance(of, str):
            return count(state, of) if "(" in of else state[of].shape[0]
        return of(state) if callable(of) else of

    return lambda state: {name: size(state, of) for name, of in known.items()}


def shuffle_scale(first: str, second: str) -> Callable[[State], int]:
    """The scale of an up-sampler of one or two steps, whose names are given."""

    def scale(state: State) -> int:
        return math.isqrt(state[first].shape[0] // state[first].shape[1]) * (2 if second in state else 1)

    return scale

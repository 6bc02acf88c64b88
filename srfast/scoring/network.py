"""Networks that score: the shipped SRCNN, plain bicubic, or a network from a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from srfast.data.images import stays_inside
from srfast.errors import InputError
from srfast.models.registry import WEIGHT_FILES, WEIGHTS, describe, weights_of
from srfast.ops.native import SRCNN_SHAPES
from srfast.runtime.optional import installed, needing
from srfast.settings import PAIR_SCALE, SCALE

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Network:
    """A network that reconstructs a patch, and how the score table names it."""

    kind: Literal["srcnn", "bicubic", "module", "onnx"]
    name: str
    sha256: str
    """Digest of the weight file (.onnx: and of the files that hold its weights), or of the empty string for bicubic."""
    scale: int
    arrays: Mapping[str, np.ndarray] | None = None
    """SRCNN's six arrays with the shapes SRCNN_SHAPES; they are kept as float32."""
    module: Callable[[Tensor], Tensor] | None = None
    color: str = "y"
    """The planes that the module takes: "y" or "rgb"."""
    path: Path | None = None

    def __post_init__(self) -> None:
        if self.arrays is not None:
            object.__setattr__(self, "arrays", srcnn_arrays(f"scorer: {self.name}", self.arrays))

    @cached_property
    def weights(self) -> dict[str, Tensor] | None:
        """``arrays`` as tensors."""
        import torch

        return None if self.arrays is None else {k: torch.from_numpy(v) for k, v in self.arrays.items()}


def srcnn_arrays(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """SRCNN's arrays as contiguous float32; raises InputError for another shape, type or a value that is not finite."""
    checked = {}
    for key, shape in SRCNN_SHAPES.items():
        given = np.asarray(arrays.get(key))
        if given.shape != shape or given.dtype.kind not in "fiu":
            raise InputError(f"{name}: {key}: expected numbers {list(shape)}, got {given.dtype} {list(given.shape)}")
        with np.errstate(over="ignore"):
            checked[key] = np.ascontiguousarray(given, np.float32)
        if not np.isfinite(checked[key]).all():
            raise InputError(f"{name}: {key}: expected finite numbers in the range of float32")
    return checked


Scorer: TypeAlias = "str | os.PathLike[str] | Network | Callable[[Tensor], Tensor]"
"""A name, a file, a network, or a module or function from LR [N, C, h, w] in [0, 1] to SR."""


def load_network(scorer: Scorer, scale: int) -> Network:
    """Loads a scoring network for scale 1, 2, 3 or 4.

    It is "srcnn" (the shipped 9-1-5), "bicubic", a module or function that takes LR [N, C, h, w] in [0, 1] and returns
    SR, the class of such a module, which is called with the scale, FILE.py:NAME of one, or a path: of weights that
    ``srfast.models.load`` opens, of the folder of a training, or of an .onnx network from LR to SR, Y or RGB
    (docs/onnx.md). Raises InputError if the name is unknown, the file is missing or not such a network, or the network
    has another scale, and RunError if the file needs an extra that is not installed.
    """
    scale = int(PAIR_SCALE.check("scale", scale))
    if isinstance(scorer, Network):
        if scorer.scale != scale:
            raise InputError(f"scorer: expected a network of scale {scale}, got {scorer.name} of scale {scorer.scale}")
        return scorer
    if callable(scorer) and not isinstance(scorer, type):
        return _own(scorer, scale)
    if scorer == "bicubic":
        return Network("bicubic", "bicubic", hashlib.sha256(b"").hexdigest(), scale)
    if isinstance(scorer, str) and scorer.lower() == "srcnn" and weights_of(scorer) is None:
        return _shipped(scale)
    if not isinstance(scorer, (str, os.PathLike, type)):
        raise InputError(f"scorer: expected a name, a weight file, a module or a function, got {scorer!r}")
    path = None if isinstance(scorer, type) else weights_of(scorer)
    if path is None:
        return _built(scorer, scale)
    if not path.is_file():
        raise InputError(f"scorer: expected srcnn, bicubic or a weight file, got {str(scorer)!r} (no such file)")
    suffix = path.suffix.lower()
    digest = hashlib.sha256(path.read_bytes())
    if suffix == ".onnx":
        for name, file in _external(path):
            digest.update(f"\0{name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as data:
                while block := data.read(1 << 20):
                    digest.update(block)
        return Network("onnx", path.name, digest.hexdigest(), scale, path=path)
    if suffix not in WEIGHT_FILES:
        raise InputError(f"{path}: expected a file ending in {', '.join(WEIGHT_FILES)} or .onnx")
    if suffix == ".safetensors":
        arrays = _arrays(path.read_bytes())
        if arrays is not None:
            return Network("srcnn", path.name, digest.hexdigest(), scale, arrays=arrays)
    with needing(f"scorer: {path}:"):
        from srfast.models.loading import load_model

    loaded = load_model(path, scale)
    state = loaded.model.state_dict()
    if {k: tuple(v.shape) for k, v in state.items()} == SRCNN_SHAPES:
        own = {k: state[k].numpy().copy() for k in SRCNN_SHAPES}
        return Network("srcnn", path.name, digest.hexdigest(), scale, arrays=own)
    return Network("module", path.name, digest.hexdigest(), scale, module=loaded.model, color=loaded.color, path=path)


def _built(scorer: Any, scale: int) -> Network:
    """A network of the caller's own: its class, FILE.py:NAME, or a name that an installed package adds."""
    try:
        about = describe(scorer)
        with needing(f"scorer: {about.name}:"):
            from srfast.models.loading import open_model
        name, opened = open_model(scorer, scale)
    except InputError as error:
        raise InputError(f"scorer: {error.message.removeprefix('model: ')}", hint=error.hint) from None
    return replace(_own(opened.model, scale), name=Path(name).name, color=opened.color)


def _external(path: Path) -> list[tuple[str, Path]]:
    """The files beside an .onnx file that hold its weights, by the names in it, sorted.

    None where onnx is missing or the file is damaged: it cannot score then. Raises InputError if a name leads outside
    the file's folder, or to no regular file.
    """
    if not installed("onnx"):
        return []
    import onnx

    def locations(message: Any) -> Iterator[str]:
        if isinstance(message, onnx.TensorProto):
            if message.data_location == onnx.TensorProto.EXTERNAL:
                yield from (entry.value for entry in message.external_data if entry.key == "location")
            return
        for field, value in message.ListFields():
            if field.message_type is not None and not field.message_type.GetOptions().map_entry:
                for item in [value] if hasattr(value, "ListFields") else value:
                    yield from locations(item)

    try:
        names = sorted(set(locations(onnx.load(path, load_external_data=False))))
    except Exception:  # what ONNX Runtime will say of it is better
        return []
    files = []
    for name in names:
        file = path.parent / name
        if not stays_inside(name) or not file.is_file():
            raise InputError(f"{path}: external weights: expected a file in its folder, got {name!r}")
        files.append((name, file))
    return files


def _own(module: Any, scale: int) -> Network:
    """A module or function of the caller's own; it takes RGB unless its attribute ``color`` is "y"."""
    import torch
    from torch import nn

    from srfast.models.tiling import Descriptor

    color = getattr(module, "color", "rgb")
    digest = hashlib.sha256()
    if isinstance(module, nn.Module):
        color = Descriptor.of(module, scale).color
        for name, tensor in module.state_dict().items():
            digest.update(f"{name} {list(tensor.shape)} {tensor.dtype}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    name = getattr(module, "__name__", type(module).__name__)
    return Network("module", name, digest.hexdigest(), scale, module=module, color=color)


@lru_cache(maxsize=3)
def _shipped(scale: int) -> Network:
    SCALE.check("scale", scale)
    data = (WEIGHTS / f"srcnn_x{scale}.safetensors").read_bytes()
    return Network("srcnn", "srcnn", hashlib.sha256(data).hexdigest(), scale, arrays=_arrays(data))


def _arrays(data: bytes) -> dict[str, np.ndarray] | None:
    """The six arrays of a .safetensors file with an SRCNN 9-1-5 and nothing else, without torch; else None."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        state = load(data)
    except (SafetensorError, KeyError, TypeError, ValueError):  # damaged, or of a type that NumPy lacks
        return None
    return state if {k: v.shape for k, v in state.items()} == SRCNN_SHAPES else None

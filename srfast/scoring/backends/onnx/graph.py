"""The scorer and its network as ONNX graphs that mean the same on every runtime.

The graphs use opset 17 and only plain float32 operators that ONNX Runtime (CPU and CUDA), TensorRT and OpenVINO all
have: no Resize (its antialiasing is missing, wrong or ignored in some of them), no integer arithmetic (some run it in
float32), no slice with a negative step.

All 8-bit values are exact in float32: sums before a Floor are multiples of 1/2 below 2^23, and quotients stay clear of
the integers that Floor separates, so that neither the order of a sum nor a division turned into a multiplication
changes a bit. The kernels there are integers of at most 11 bits, which TF32 holds too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from srfast.data.files import check_output, output_file
from srfast.errors import InputError
from srfast.ops.reference import resampling_matrix
from srfast.runtime.optional import needing
from srfast.scoring.network import load_network, srcnn_arrays
from srfast.settings import SCALE
from srfast.version import VERSION

if TYPE_CHECKING:
    import onnx

Weights = Mapping[str, "np.ndarray | Tensor"]
Size = tuple[int | None, int | None]
Output = Literal["loss", "map", "lr"]

OPSET = 17
IR_VERSION = 8

# The down-sampling kernel of each scale is its integer numerators over this.
DENOMINATORS = {2: 256, 3: 162, 4: 4096}


def build_scorer(
    weights: Weights | None,
    scale: int,
    patch: int | tuple[int, int] | None = None,
    *,
    output: Output = "loss",
    channels: int = 3,
    sha256: str | None = None,
) -> onnx.ModelProto:
    """Builds the whole score as one graph: ``patches`` uint8 [N, H, W, C] in, ``loss`` float32 [N] out.

    N is dynamic; so are H and W unless ``patch`` fixes H = W, or (H, W), in HR pixels. Both are multiples of the scale,
    2, 3 or 4, and at least twice the scale if they are dynamic: the graph does not run on anything else. ``weights``
    are SRCNN 9-1-5 by the names of its state dict, arrays or tensors; None stands for plain bicubic up-sampling. The
    output may also be "map",
    ``squared_error`` float32 [N, H, W] in [0, 255]^2, or "lr", ``lr`` uint8 [N, h, w]. ``channels`` are 3 (RGB) or 1 (Y
    itself). ``sha256`` is recorded; None takes that of the weights' safetensors serialisation. Raises InputError if an
    argument has none of these values, and RunError if the onnx package is missing.
    """
    size = _size(scale, patch)
    if output not in ("loss", "map", "lr"):
        raise InputError(f"output: expected 'loss', 'map' or 'lr', got {output!r}")
    if channels not in (1, 3):
        raise InputError(f"channels: expected 3 (RGB) or 1 (Y), got {channels!r}")
    arrays = None if weights is None else _arrays(weights)
    g = _Graph()
    shape = ("N", size[0] or "H", size[1] or "W")
    g.input("patches", np.uint8, (*shape, channels))
    y = _luma(g, channels)
    lr, lr_size = _downsample(g, y, size, scale)
    if output == "lr":
        lr_shape = ("N", lr_size[0] or "h", lr_size[1] or "w")
        g.output("lr", np.uint8, lr_shape, g.op("Cast", g.squeeze(lr), to=_dtype(np.uint8)))
    else:
        up = _upsample(g, lr, lr_size, scale, 255 if arrays else 1)
        sr = g.op("Mul", _srcnn(g, up, arrays), g.const(255.0)) if arrays else up
        error = g.op("Sub", sr, y)
        square = g.squeeze(g.op("Mul", error, error))
        if output == "map":
            g.output("squared_error", np.float32, shape, square)
        else:
            # Row means first: short sums keep six digits in float32, whatever order a runtime adds in.
            rows = g.op("ReduceMean", square, axes=[2], keepdims=0)
            g.output("loss", np.float32, ("N",), g.op("ReduceMean", rows, axes=[1], keepdims=0))
    return g.model(
        "srfast_scorer",
        kind="scorer",
        scorer="srcnn" if arrays else "bicubic",
        scale=scale,
        patch=_patch_text(size),
        boundary="symmetric",
        output=output,
        weights_sha256=_digest(arrays, sha256),
    )


def build_network(
    weights: Weights, scale: int, patch: int | tuple[int, int] | None = None, *, sha256: str | None = None
) -> onnx.ModelProto:
    """Builds the bare SRCNN: ``up`` float32 [N, 1, H, W], up-sampled Y in [0, 1], to ``sr`` of the same shape, not
    clamped. Arguments and errors are those of ``build_scorer``; the scale goes only into the metadata."""
    size = _size(scale, patch)
    arrays = _arrays(weights)
    g = _Graph()
    shape = ("N", 1, size[0] or "H", size[1] or "W")
    g.input("up", np.float32, shape)
    g.output("sr", np.float32, shape, _srcnn(g, "up", arrays))
    return g.model(
        "srfast_network",
        kind="network",
        takes="up",
        scale=scale,
        patch=_patch_text(size),
        weights_sha256=_digest(arrays, sha256),
    )


def export_onnx(output: Path | str, *, scale: int = 2, patch: int | None = None, network_only: bool = False) -> Path:
    """Writes the shipped scorer, or only its network, as an ONNX graph.

    Args:
        output: The file to write, which appears whole or not at all.
        scale: 2, 3 or 4.
        patch: Side of a patch in HR pixels, if it is to be fixed; None leaves height and width dynamic.
        network_only: True writes only the network, from up-sampled Y to SR, instead of patches to losses.

    Returns:
        The path.

    Raises:
        InputError: the scale or patch is wrong, or the path cannot be written to.
        RunError: the onnx package is missing, or the disk is full.
    """
    path = Path(output)
    _size(scale, patch)
    check_output(path, "ONNX graph")
    network = load_network("srcnn", scale)
    assert network.weights is not None
    build = build_network if network_only else build_scorer
    model = build(network.weights, scale, patch, sha256=network.sha256)
    with output_file(path, "ONNX graph") as aside:
        aside.write_bytes(model.SerializeToString())
    return path


def _size(scale: int, patch: int | tuple[int, int] | None) -> Size:
    SCALE.check("scale", scale)
    if patch is None:
        return None, None
    height, width = patch if isinstance(patch, tuple) else (patch, patch)
    if any(not isinstance(n, (int, np.integer)) or n < scale or n % scale for n in (height, width)):
        raise InputError(f"patch: expected a positive multiple of the scale {scale}, got {patch!r}")
    return height, width


def _patch_text(size: Size) -> str:
    if size[0] is None:
        return "dynamic"
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"


def _arrays(weights: Weights) -> dict[str, np.ndarray]:
    return srcnn_arrays("weights", {k: torch.as_tensor(v).detach().cpu().float().numpy() for k, v in weights.items()})


def _digest(arrays: dict[str, np.ndarray] | None, sha256: str | None) -> str:
    from safetensors.numpy import save

    return sha256 or hashlib.sha256(save(arrays) if arrays else b"").hexdigest()


def _dtype(dtype: type[np.generic]) -> int:
    return int(_onnx().helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _onnx() -> Any:
    with needing("an ONNX graph"):
        import onnx
        import onnx.helper
    return onnx


class _Graph:
    """Nodes in order; every value is a name."""

    def __init__(self) -> None:
        self.onnx = _onnx()
        self.helper = self.onnx.helper
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.initializers: dict[str, Any] = {}

    def input(self, name: str, dtype: type[np.generic], shape: tuple[int | str, ...]) -> None:
        self.inputs.append(self.helper.make_tensor_value_info(name, _dtype(dtype), shape))

    def output(self, name: str, dtype: type[np.generic], shape: tuple[int | str, ...], value: str) -> None:
        self.nodes.append(self.helper.make_node("Identity", [value], [name], name=f"{name}_out"))
        self.outputs.append(self.helper.make_tensor_value_info(name, _dtype(dtype), shape))

    def const(self, value: Any, dtype: type[np.generic] = np.float32, name: str | None = None) -> str:
        name = name or f"c{len(self.initializers)}"
        self.initializers[name] = self.onnx.numpy_helper.from_array(np.ascontiguousarray(value, dtype), name)
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x: str, weight: str, bias: str, strides: tuple[int, int] = (1, 1)) -> str:
        shape = list(self.initializers[weight].dims[2:])
        return self.op("Conv", x, weight, bias, kernel_shape=shape, strides=list(strides), pads=[0, 0, 0, 0])

    def squeeze(self, x: str) -> str:
        return self.op("Squeeze", x, self.const([1], np.int64))

    def model(self, name: str, **metadata: Any) -> onnx.ModelProto:
        graph = self.helper.make_graph(self.nodes, name, self.inputs, self.outputs, list(self.initializers.values()))
        model = self.helper.make_model(
            graph,
            opset_imports=[self.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="srfast",
            producer_version=VERSION,
        )
        self.helper.set_model_props(model, {k: str(v) for k, v in {**metadata, "srfast_version": VERSION}.items()})
        return cast("onnx.ModelProto", model)


def _luma(g: _Graph, channels: int) -> str:
    """Y [N, 1, H, W], integers in float32.

    With S = 299 R + 587 G + 114 B, reference.luma is 16 + floor((73 S + 42500) / 85000), which is
    126 + floor(k / 85000) with k = 73 (S - 127500), |k| < 2^24. One rounded quotient cannot be floored
    safely: 1 / 85000 is less than two steps of float32 at 110. So q = floor(k / 85000 + 1/2) is taken first,
    and lowered by one where the exact k - 85000 q is negative.
    """
    x = g.op("Cast", "patches", to=_dtype(np.float32))
    if channels == 1:
        return g.op("Unsqueeze", g.op("Squeeze", x, g.const([3], np.int64)), g.const([1], np.int64))
    weighted = g.op("Mul", x, g.const([299, 587, 114]))
    total = g.op("ReduceSum", weighted, g.const([3], np.int64), keepdims=0)
    centred = g.op("Sub", g.op("Unsqueeze", total, g.const([1], np.int64)), g.const(127500))
    k = g.op("Mul", centred, g.const(73))
    inverse = g.const(1 / 85000)
    q = g.op("Floor", g.op("Add", g.op("Mul", k, inverse), g.const(0.5)))
    remainder = g.op("Sub", k, g.op("Mul", q, g.const(85000)))
    return g.op("Add", g.op("Add", q, g.const(126)), g.op("Floor", g.op("Mul", remainder, inverse)))


def _downsample(g: _Graph, y: str, size: Size, scale: int) -> tuple[str, Size]:
    """imresize(Y, 1 / scale) in 8 bits: rows, then columns, each pass rounded half up and clamped."""
    taps, pad = down_kernel(scale)
    for axis, shape, strides in ((2, (1, 1, -1, 1), (scale, 1)), (3, (1, 1, 1, -1), (1, scale))):
        # (sum + d / 2) / d rounds half up; another 1 / 2 in the numerator keeps it away from integers.
        bias = g.const([DENOMINATORS[scale] / 2 + 0.5])
        padded = _pad(g, y, pad, {axis: size[axis - 2]})
        total = g.conv(padded, g.const(taps.reshape(shape)), bias, strides)
        rounded = g.op("Floor", g.op("Mul", total, g.const(1 / DENOMINATORS[scale])))
        y = g.op("Clip", rounded, g.const(0), g.const(255))
    return y, (size[0] and size[0] // scale, size[1] and size[1] // scale)


def down_kernel(scale: int) -> tuple[np.ndarray, int]:
    """The weights of one LR pixel, integers over ``DENOMINATORS[scale]``, and the border on each side."""
    row = resampling_matrix(8 * scale, 1 / scale)[4] * DENOMINATORS[scale]
    used = torch.nonzero(row.abs() > 0.25).flatten()
    first, last = int(used[0]), int(used[-1])
    return torch.round(row[first : last + 1]).numpy(), 4 * scale - first


def _upsample(g: _Graph, lr: str, size: Size, scale: int, divisor: int) -> str:
    """imresize(LR, scale) / divisor, never rounded: a 5 x 5 convolution per phase, then depth to space."""
    rows = resampling_matrix(9, scale)[4 * scale : 5 * scale, 2:7].numpy()
    kernels = np.einsum("ik,jl->ijkl", rows, rows).reshape(scale * scale, 1, 5, 5) / divisor
    padded = _pad(g, lr, 2, {2: size[0], 3: size[1]})
    phases = g.conv(padded, g.const(kernels), g.const(np.zeros(scale * scale)))
    return g.op("DepthToSpace", phases, blocksize=scale, mode="DCR")


def _srcnn(g: _Graph, x: str, arrays: dict[str, np.ndarray]) -> str:
    """reference.srcnn, with the single output channel of conv3 taken in two steps.

    CPU runtimes compute output channels in blocks of 8 or 16, so a plain 5 x 5 x 32 -> 1 layer costs as much
    as one with 16 outputs. Here the five rows of its kernel are five outputs of a 1 x 5 convolution, which a
    5 x 1 convolution of ones adds up one line apart: the whole graph then runs 1.7 times as fast on ONNX
    Runtime and OpenVINO.
    """
    weights = {k: g.const(v, name=k) for k, v in arrays.items() if k != "conv3.weight"}
    padded = _replicated(g, x, 4)
    x = g.op("Relu", g.conv(padded, weights["conv1.weight"], weights["conv1.bias"]))
    x = g.op("Relu", g.conv(x, weights["conv2.weight"], weights["conv2.bias"]))
    # [1, 32, 5 rows, 5] -> [5 rows, 32, 1, 5]
    rows = g.const(arrays["conv3.weight"].transpose(2, 1, 0, 3), name="conv3.rows")
    x = g.conv(_replicated(g, x, 2), rows, g.const(np.zeros(5)))
    return g.conv(x, g.const(np.eye(5).reshape(1, 5, 5, 1)), weights["conv3.bias"])


def _replicated(g: _Graph, x: str, pad: int) -> str:
    return g.op("Pad", x, g.const([0, 0, pad, pad] * 2, np.int64), mode="edge")


def _pad(g: _Graph, x: str, pad: int, sizes: dict[int, int | None]) -> str:
    """Pads ``pad`` lines on both sides of each axis in ``sizes``, which gives the length of an axis if it is fixed, by
    the half-sample mirror, which no mode of Pad is."""
    for axis, n in sizes.items():
        if n:
            index = np.arange(-pad, n + pad) % (2 * n)
            x = g.op("Gather", x, g.const(np.minimum(index, 2 * n - 1 - index), np.int64), axis=axis)
            continue
        reverse = g.const(np.arange(pad)[::-1], np.int64)
        head = g.op("Gather", x, reverse, axis=axis)
        ends = (g.const([v], np.int64) for v in (-pad, np.iinfo(np.int64).max, axis))
        tail = g.op("Gather", g.op("Slice", x, *ends), reverse, axis=axis)
        x = g.op("Concat", head, x, tail, axis=axis)
    return x

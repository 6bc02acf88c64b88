"""The roofs of the GPU path on an H100, from its machine code: ``python -m bench.roofline``. Needs no GPU.

The kernels are compiled for sm_90 as they are launched; warp instructions are counted in the SASS (a loop's as often as
it turns, both sides of every branch), sectors in the addresses that warps touch, the rest from sizes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import warnings
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
# `python -m` puts this folder first, where srfast lacks its kernels: the installed package is the one that runs.
sys.path = [p for p in sys.path if Path(p or ".").resolve() != ROOT]

PATCH = 96
IMAGES = 64  # of a group
SIDE = 1056  # of the image of dense mode, in bands of 2^22 pixels: one
WINDOWS = {"stride 48": 48, "stride 8": 8}  # of 96 x 96 pixels
BYTES = 2  # float16
# NVIDIA H100 SXM: four schedulers and 32 banks of 4 bytes in each of 132 multiprocessors at 1.98 GHz; tensor cores and
# device memory from the data sheet; L2 as measured by others (5.5 to 7 TB/s), the lower one.
CLOCKS = 132 * 1.98e9
RATES = {"issue": 4 * CLOCKS, "tensor": 989e12, "memory": 3.35e12, "L2": 5.5e12, "shared": 128 * CLOCKS}
Cost = tuple[float, float, float, float, float]  # of an HR pixel, in the order of RATES
Instruction = tuple[int, str]


def disassemble(cubin: Path, function: str = "") -> list[Instruction]:
    """(address, text) of the instructions of the function whose name contains ``function``."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    text = subprocess.run([tool, "--dump-sass", cubin], check=True, capture_output=True, text=True)
    for part in text.stdout.split("Function : ")[1:]:
        if function in part.split(maxsplit=1)[0]:
            instructions = re.findall(r"^\s+/\*([0-9a-f]{4,5})\*/\s+(.*?);", part, re.M)
            return [(int(address, 16), body) for address, body in instructions]
    raise SystemExit(f"roofline: no function {function!r} in {cubin}")


def instructions(code: list[Instruction], nests: list[tuple[int, int]]) -> float:
    """Of a warp, in a kernel of loops one after another, some with a loop inside: (outer, inner) turns of each.

    Loops are backward branches. Those of ``nests`` are the first with a loop inside, or the largest; the others wait
    for a barrier, or make what is not asked for. An inner loop may stand there in several versions, one of which
    runs: the longest counts.
    """
    position = {address: i for i, (address, _) in enumerate(code)}
    targets = [(i, re.search(r"\bBRA\b.*?(0x[0-9a-f]+)", text)) for i, (_, text) in enumerate(code)]
    back = [(position.get(int(t[1], 16), i), i) for i, t in targets if t]
    loops = [(first, last) for first, last in back if first < last]
    outer = [a for a in loops if not any(b[0] <= a[0] and a[1] <= b[1] and a != b for b in loops)]
    inner = {a: [1 + y - x for x, y in loops if a[0] <= x and y <= a[1] and (x, y) != a] for a in outer}
    nested = nests[0][1] > 0
    wanted = sorted(a for a in outer if inner[a])[: len(nests)] if nested else [max(outer, key=lambda a: a[1] - a[0])]
    total = float(len(code) - sum(1 + last - first for first, last in outer))
    for (first, last), (turns, inside) in zip(wanted, nests, strict=True):
        sizes = inner[first, last] if nested else []
        total += turns * (1 + last - first - sum(sizes) + inside * max(sizes, default=0))
    return total


def compiled(kernel: str, scale: int, path: Path, dense: bool = False) -> tuple[list[Instruction], Any]:
    """A Triton kernel of the network as its launcher has it compiled, and the row of its table."""
    from srfast.kernels import srcnn
    from srfast.kernels.configs import lookup

    config = lookup(kernel, 90, BYTES)
    constants: dict[str, Any] = {"S": scale, "SIDE": srcnn.WINDOW[scale], "BLOCK": config.block}
    half, single = "*fp16", "*fp32"
    if kernel == "features":
        function = srcnn.features_kernel
        types = [half, half, single, half, single, half, half, *["i32"] * 5]
        constants |= {"TAPS": srcnn.TAPS[scale], "HOIST": True}
    else:
        function = srcnn.error_kernel
        types = [half, single, "*u8", single, single, *["i32"] * 3]
        constants |= {"WRITE_SR": dense}
    options = {"num_warps": config.num_warps, "num_stages": config.num_stages}
    return machine_code(function, types, constants, options, path), config


def machine_code(
    function: Any, types: list[str], constants: dict[str, Any], options: dict[str, int], path: Path
) -> list[Instruction]:
    """The instructions of a Triton kernel for sm_90."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = {**dict(zip(function.arg_names, types, strict=False)), **dict.fromkeys(constants, "constexpr")}
    # What the launcher finds: allocations are aligned to 16 bytes.
    attributes = {(i,): [["tt.divisibility", 16]] for i, t in enumerate(types) if t.startswith("*")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Triton 3.9 announces a default of 3.10
        program = triton.compile(
            ASTSource(function, signature, constants, attributes),
            target=GPUTarget("cuda", 90, 32),
            options=options,
        )
    path.write_bytes(program.asm["cubin"])
    return disassemble(path)


def places(scale: int, size: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Where the LR pixels of an image lie in a plane of products, [h, w], and those of each class of ``features``."""
    side, small = {2: 9, 3: 7, 4: 7}[scale], size // scale
    middle, past = side // 2, small - side
    kinds = [slice(k, k + 1) for k in range(middle)] + [slice(middle, middle + past + 1)]
    kinds += [slice(k, k + 1) for k in range(middle + past + 1, small)]
    columns = np.concatenate([np.arange(small)[kinds[middle]], np.delete(np.arange(small), kinds[middle])])
    place = np.empty((small, small), np.int64)
    whole = small * (past + 1)
    place[:, columns[: past + 1]] = np.arange(whole).reshape(small, -1)
    place[:, columns[past + 1 :]] = whole + np.arange(small**2 - whole).reshape(-1, small).T
    return place, [place[rows, columns].ravel() for rows in kinds for columns in kinds]


def sectors(scale: int, lanes: int, dense: bool) -> tuple[float, float]:
    """Bytes of the 32-byte sectors of a byte that ``features`` writes by the warp, and ``error`` reads ``lanes`` LR
    pixels at a time."""
    place, classes = places(scale, SIDE if dense else PATCH)
    images = 1 if dense else IMAGES

    def bytes_of(pixels: np.ndarray, together: int) -> float:
        pixels = np.pad(pixels.ravel(), (0, -pixels.size % together), constant_values=pixels.flat[-1])
        rows = np.sort(pixels.reshape(-1, together) * BYTES // 32, axis=1)
        return 32.0 * (np.count_nonzero(np.diff(rows, axis=1)) + len(rows))

    planes = np.arange(images)[:, None] * (25 * scale**2 * place.size)
    written = sum(bytes_of(planes + pixels, 32) for pixels in classes)
    # A pixel's tap lies up to two HR pixels from it: the average over the shifts of LR pixels by -1, 0 and 1.
    edge = place.shape[0] - 1
    near = [np.clip(np.arange(edge + 1) + shift, 0, edge) for shift in (-1, 0, 1)]
    read = np.mean([bytes_of(place[rows][:, columns], lanes) for rows in near for columns in near])
    return written / (images * place.size * BYTES), float(read) / (place.size * BYTES)


def features_cost(scale: int, folder: Path, dense: bool = False) -> Cost:
    from srfast.kernels import srcnn

    code, config = compiled("features", scale, folder / "features.cubin")
    block, phases, taps, side = config.block, scale**2, srcnn.TAPS[scale], srcnn.WINDOW[scale]
    pixels = block * phases  # HR pixels of a program
    # An instruction multiplies 64 rows and reads both its operands from shared memory; the left operands of conv2 and
    # conv3 are in registers. The products change their layout on the way out.
    operands = block // 64 * (64 * taps + taps * 64 + 64 * 32 + 32 * 32) + 2 * block * 32
    staged = taps * 64 * BYTES  # the weights of a phase, written by cp.async
    windows = side * (block + side) * BYTES  # through L1, a row of LR pixels once a window's row
    out = 25 * BYTES
    cast = (1 + BYTES) / phases  # LR from 8 bits to float16, by torch
    return (
        instructions(code, [(phases, 0)]) * config.num_warps / pixels,
        2 * (taps * 64 + 64 * 32 + 32 * 32),
        BYTES / phases + out + cast,
        (staged * phases + windows) / pixels + out * sectors(scale, 32, dense)[0] + cast,
        (phases * (operands * BYTES + staged) + block * taps * BYTES) / pixels,
    )


def error_cost(scale: int, folder: Path, dense: bool = False) -> Cost:
    """In dense mode the reconstruction is written too, by lanes that lie ``scale`` pixels apart."""
    code, config = compiled("error", scale, folder / "error.cubin", dense)
    count = instructions(code, [(scale**2, 0)]) * config.num_warps / (config.block * scale**2)
    written = 4 if dense else 0
    # The warps of a block read the same plane at the same time, through L1.
    read = 25 * BYTES * sectors(scale, config.block, dense)[1] + 1
    return count, 0, 25 * BYTES + 1 + written, read + scale * written, 0


def degrade_cost(scale: int, folder: Path, mode: str = "") -> Cost:
    """A tile a block of 8 warps; the loops' turns are those of csrc/cuda/degrade.cuh, in order.

    Args:
        mode: Y and LR of a patch only (""), the sums of the bicubic and Sobel columns too ("columns"), or the
            up-sampled plane of a tile within an image ("dense").
    """
    cubin = folder / "degrade.cubin"
    if not cubin.exists():
        flags = ["-std=c++17", "-O3", "-arch=sm_90", f"-I{ROOT / 'csrc'}", "--cubin", "-o", str(cubin)]
        subprocess.run(["nvcc", *flags, str(ROOT / "csrc" / "cuda" / "degrade.cu")], check=True)
    size = SIDE // ceil(SIDE / 128) // scale * scale if mode == "dense" else PATCH  # of the tile
    small, taps = size // scale, {2: 8, 3: 11, 4: 16}[scale]
    halo = 2 if mode == "dense" else 0
    lr = small + 2 * halo
    read = scale * lr + (2 * (3 * scale // 2) if halo else 0)  # HR pixels along a side, with the halo
    nests = [(read, ceil(read / 96)), (lr, ceil(read / 32)), (lr, ceil(lr / 32))]
    # Bytes of single lanes: a warp's access takes a cycle of 128 bytes for 32 of use. Y; row pass: taps read and one
    # written; column pass.
    shared = 4.0 * (read**2 + (taps + 1) * lr * read + (taps + 1) * lr**2)
    moved = 3 * (read / size) ** 2 + 1 + 1 / scale**2
    if mode:  # 5 taps along columns, then along rows, each for all phases; the error against Y
        nests += [(small, ceil(lr / 32)), (size, ceil(small / 32))]
        shared += 4.0 * ((5 + scale) * small * lr + (5 + scale) * size * small)
        moved += 4 if mode == "dense" else 0
    if mode == "columns":
        nests.append((size, ceil(size / 32)))
        shared += 4.0 * 8 * size**2
    count = instructions(disassemble(cubin, f"ILi{scale}E" + ("f" if mode else "6__half")), nests)
    return count / size**2, 0, moved, moved, shared / size**2


def cells_cost(stride: int, folder: Path) -> Cost:
    """The kernel that sums the maps over cells, of one row; a program's straight code runs whatever its cells hold."""
    from srfast.kernels import cells

    sums, edges = window_sums(stride)
    span = 1 << (sums.widest - 1).bit_length()
    together = cells.BLOCK // span
    types = ["*u8", "*fp32", "*fp32", "*i32", "*fp32", *["i32"] * 5]
    constants = {"CELLS": together, "SPAN": span}
    code = machine_code(cells.cells_kernel, types, constants, {"num_warps": cells.WARPS}, folder / "cells.cubin")
    programs, each = ceil(edges / together), 12 * edges / SIDE
    return len(code) * cells.WARPS * programs / SIDE, 0, 9 + each, 11 + each, 0


def windows_cost(stride: int, folder: Path) -> Cost:
    """torch's work on the cells' sums: the bytes that its operations read and write, as counted on the CPU."""
    _, moved = counted(stride)
    return 0, 0, moved, moved, 0


def window_sums(stride: int) -> tuple[Any, int]:
    """The sums of the windows of the image, and the number of cells of a row."""
    import torch

    from srfast.data.grid import Grid
    from srfast.scoring.backends.maps import WindowSums

    places = np.arange(0, SIDE - PATCH + 1, stride)
    sums = WindowSums(Grid(places, places, PATCH), torch.device("cpu"))
    return sums, len(sums.edges) - 1


def counted(stride: int) -> tuple[int, float]:
    """Operations of ``WindowSums.add_cells`` that are launches on a device, and the bytes of their arguments and
    results for an HR pixel."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from srfast.scoring.backends.maps import bands

    launches, moved = 0, 0

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal launches, moved
            result = func(*args, **(kwargs or {}))
            tensors = [
                a for a in torch.utils._pytree.tree_leaves((args, kwargs, result)) if isinstance(a, torch.Tensor)
            ]
            if not func.is_view and "empty" not in str(func):
                launches += 1
                moved += sum(a.numel() * a.element_size() for a in tensors)
            return result

    sums, cells = window_sums(stride)
    with Count():
        sums.add_cells(torch.zeros(3, SIDE, cells), next(bands(SIDE, SIDE, 2)))
    return launches, moved / SIDE**2


def main() -> None:
    """The table, as Markdown."""
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    print("| |", " | ".join(RATES), "| **roof** |\n" + "|---" * (len(RATES) + 2) + "|")
    totals = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for scale in (2, 3, 4):
            kernels = {
                "degrade": degrade_cost(scale, folder),
                "columns": degrade_cost(scale, folder, "columns"),
                "features": features_cost(scale, folder),
                "error": error_cost(scale, folder),
                "dense_degrade": degrade_cost(scale, folder, "dense"),
                "dense_features": features_cost(scale, folder, dense=True),
                "dense_error": error_cost(scale, folder, dense=True),
            }
            ways = {"loss alone": ["degrade", "features", "error"], "three columns": ["columns", "features", "error"]}
            for words, stride in WINDOWS.items():
                more = {
                    f"cells, {words}": cells_cost(stride, folder),
                    f"windows, {words}": windows_cost(stride, folder),
                }
                kernels |= more
                ways[f"dense, {words}"] = ["dense_degrade", "dense_features", "dense_error", *more]
            roofs = {}
            for kernel, counts in kernels.items():
                limits = [rate / max(count, 1e-9) for rate, count in zip(RATES.values(), counts, strict=True)]
                shown = [f"{limit / 1e9:,.0f}" if limit < 1e15 else "" for limit in limits]
                roofs[kernel] = min(limits)
                print(f"| x{scale} `{kernel}` |", " | ".join(shown), f"| {min(limits) / 1e9:,.0f} |")
            for way, parts in ways.items():
                whole = 1 / sum(1 / roofs[part] for part in parts) / 1e9
                print(f"| x{scale} **together, {way}** |" + " |" * len(RATES), f"**{whole:.1f} Gpix/s** |", flush=True)
                count = [sum(kernels[part][i] for part in parts) for i in (0, 2, 3)]
                totals.append(f"| x{scale} {way} | " + " | ".join(f"{n:.0f}" for n in count) + " |")
    print(
        "\n| of an HR pixel | warp instructions | bytes of device memory | of L2 |\n|---|---|---|---|",
        *totals,
        sep="\n",
    )
    print(f"\ntorch sums the windows of a band in {counted(48)[0]} launches")


if __name__ == "__main__":
    main()

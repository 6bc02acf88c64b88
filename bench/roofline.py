"""The roofs of the GPU path on an H100, from its machine code: ``python -m bench.roofline``. Needs no GPU.

The kernels are compiled for sm_90 as they are launched, warp instructions are counted in the SASS (a loop's as often as
it turns, both sides of every branch), bytes and operations are counted from the sizes. A kernel's roof is the least of
its five; kernels run one after another, so the whole is the harmonic sum. ``--resources`` lists registers, shared
memory and spills of the Triton kernels on every architecture.

Two kernels need Triton; ``degrade`` needs nvcc, or an installed srfast that was built with it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# `python -m` puts this folder first, where srfast lacks its kernels: the installed package is the one that runs.
sys.path = [p for p in sys.path if Path(p or ".").resolve() != ROOT]

PATCH = 96
ARCHITECTURES = (80, 90, 100, 120)
BYTES = 2  # float16


@dataclass(frozen=True)
class Card:
    """NVIDIA H100 SXM: the data sheet's figures; L2 as measured by others (5.5 to 7 TB/s), the lower one."""

    multiprocessors: int = 132
    clock: float = 1.98e9
    memory: float = 3.35e12
    l2: float = 5.5e12
    tensor: float = 989e12

    @property
    def issue(self) -> float:
        """Warp instructions a second: four schedulers a multiprocessor."""
        return 4 * self.multiprocessors * self.clock

    @property
    def shared(self) -> float:
        """Bytes of shared memory a second: 32 banks of 4 bytes."""
        return 128 * self.multiprocessors * self.clock


@dataclass(frozen=True)
class Cost:
    """Of one HR pixel."""

    instructions: float
    operations: float
    """Multiplications and additions of the tensor cores, padding included."""
    memory: float
    """Bytes of device memory: every input read once, every output written once."""
    l2: float
    """Bytes between L2 and the multiprocessors."""
    shared: float
    """Bytes of shared memory read and written."""

    def roofs(self, card: Card) -> dict[str, float]:
        """Pixels a second that each resource allows."""
        limits = {
            "issue": (card.issue, self.instructions),
            "tensor": (card.tensor, self.operations),
            "memory": (card.memory, self.memory),
            "L2": (card.l2, self.l2),
            "shared": (card.shared, self.shared),
        }
        return {name: rate / cost if cost else float("inf") for name, (rate, cost) in limits.items()}


Instruction = tuple[int, str]


def disassemble(cubin: Path, function: str = "") -> list[Instruction]:
    """(address, text) of the instructions of the function whose name contains ``function``."""
    text = subprocess.run([tool("cuobjdump"), "--dump-sass", str(cubin)], check=True, capture_output=True, text=True)
    for part in text.stdout.split("Function : ")[1:]:
        if function in part.split(maxsplit=1)[0]:
            found = re.findall(r"^\s+/\*([0-9a-f]{4,5})\*/\s+(.*?);", part, re.M)
            return [(int(address, 16), body) for address, body in found]
    raise SystemExit(f"roofline: no function {function!r} in {cubin}")


def resources(cubin: Path) -> list[tuple[str, int, int]]:
    """(function, registers, bytes of stack and local memory) of each function."""
    text = subprocess.run(
        [tool("cuobjdump"), "--dump-resource-usage", str(cubin)], check=True, capture_output=True, text=True
    ).stdout
    rows = re.findall(r"Function (\S+):\s+REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", text)
    return [(name, int(registers), int(stack) + int(local)) for name, registers, stack, local in rows]


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        import triton

        bundled = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
        found = str(bundled) if bundled.exists() else None
    if found is None:
        raise SystemExit(f"roofline: {name} is neither on PATH nor in Triton's package")
    return found


def loops(code: list[Instruction]) -> list[tuple[int, int]]:
    """First and last instruction of each loop, by its backward branch; the trap after the end is none."""
    position = {address: i for i, (address, _) in enumerate(code)}
    found = []
    for i, (address, text) in enumerate(code):
        target = re.search(r"\bBRA\b.*?(0x[0-9a-f]+)", text)
        if target and int(target[1], 16) < address and int(target[1], 16) in position:
            found.append((position[int(target[1], 16)], i))
    return found


def one_loop(code: list[Instruction], turns: int) -> float:
    """Instructions of a warp in a kernel whose largest loop turns ``turns`` times; smaller ones wait for a barrier."""
    first, last = max(loops(code), key=lambda loop: loop[1] - loop[0])
    return len(code) + (turns - 1) * (last - first + 1)


def loop_nests(code: list[Instruction], turns: list[tuple[int, int]]) -> float:
    """Instructions of a warp in a kernel of nested loops one after another: (outer, inner) turns of each nest.

    A nest may hold its inner loop in several versions, one of which runs: the longest counts.
    """
    found = loops(code)
    outer = [a for a in found if not any(b[0] <= a[0] and a[1] <= b[1] and a != b for b in found)]
    nests = [(a, [b for b in found if a[0] <= b[0] and b[1] <= a[1] and b != a]) for a in outer]
    total = 0.0
    for ((first, last), inner), (rows, columns) in zip((n for n in nests if n[1]), turns, strict=False):
        sizes = [b[1] - b[0] + 1 for b in inner]
        total += rows * (last - first + 1 - sum(sizes) + columns * max(sizes))
    between = sum(last - first + 1 for first, last in outer)
    return total + len(code) - between


def compiled(kernel: str, capability: int, element: str, scale: int) -> Any:
    """A Triton kernel as its launcher has it compiled."""
    from srfast.kernels import srcnn
    from srfast.kernels.configs import lookup
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    config = lookup(kernel, capability, 4 if element == "fp32" else 2)
    value, const = f"*{element}", {"S": scale, "BLOCK": config.block}
    if kernel == "features":
        function = srcnn.features_kernel
        types = [value, value, "*fp32", value, "*fp32", value, "*i32", value, "i32", "i32", "i32"]
        const |= {"SIDE": srcnn.WINDOW[scale], "TAPS": srcnn.TAPS[scale], "HOIST": element != "fp32"}
    else:
        function = srcnn.error_kernel
        types = [value, "*fp32", "*u8", "*fp32", "*fp32", "i32", "i32", "i32"]
        const |= {"WRITE_SR": False}
    names = function.arg_names
    signature = {**dict(zip(names, types, strict=False)), **dict.fromkeys(const, "constexpr")}
    # What the launcher finds: allocations are aligned to 16 bytes.
    attributes = {(i,): [["tt.divisibility", 16]] for i, t in enumerate(types) if t.startswith("*")}
    return triton_compile(
        ASTSource(function, signature, const, attributes),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": config.num_warps, "num_stages": config.num_stages},
    )


def triton_compile(*args: Any, **kwargs: Any) -> Any:
    import triton

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Triton 3.9 announces a default of 3.10
        return triton.compile(*args, **kwargs)


def features_cost(scale: int, folder: Path) -> Cost:
    from srfast.kernels import srcnn
    from srfast.kernels.configs import lookup

    config = lookup("features", 90, BYTES)
    block, phases, taps, side = config.block, scale**2, srcnn.TAPS[scale], srcnn.WINDOW[scale]
    pixels = block * phases  # HR pixels of a program
    kernel = compiled("features", 90, "fp16", scale)
    code = disassemble(write(kernel, folder))
    # An instruction multiplies 64 rows and reads both its operands from shared memory; the left operands of conv2 and
    # conv3 are in registers.
    groups = block // 64
    conv1 = groups * (64 * taps + taps * 64) * BYTES
    rest = groups * (64 * 32 + 32 * 32) * BYTES
    stored = 2 * block * 32 * BYTES  # the products change their layout on the way out
    staged = taps * 64 * BYTES  # the weights of a phase, written by cp.async
    windows = block * taps * BYTES
    return Cost(
        instructions=one_loop(code, phases) * config.num_warps / pixels,
        operations=2 * (taps * 64 + 64 * 32 + 32 * 32),
        memory=BYTES / phases + 25 * BYTES,
        # A program's windows come through L1, a row of LR pixels once a window's row.
        l2=staged * phases / pixels + side * (block + side) * BYTES / pixels + 25 * BYTES,
        shared=(phases * (conv1 + rest + stored + staged) + windows) / pixels,
    )


def error_cost(scale: int, folder: Path) -> Cost:
    from srfast.kernels.configs import lookup

    config = lookup("error", 90, BYTES)
    code = disassemble(write(compiled("error", 90, "fp16", scale), folder))
    pixels = config.block * scale**2
    return Cost(
        instructions=one_loop(code, scale**2) * config.num_warps / pixels,
        operations=0,
        memory=25 * BYTES + 1,
        # A warp's 64 bytes of a plane lie in three sectors of 32, not two, when they are shifted.
        l2=1.5 * 25 * BYTES + 1,
        shared=0,
    )


def degrade_cost(scale: int, folder: Path) -> Cost:
    """Y and LR only, a patch a block of 8 warps; the loops' turns are those of csrc/cuda/degrade.cuh, in order."""
    cubin = folder / "degrade.cubin"
    if not cubin.exists():
        build_degrade(90, cubin)
    code = disassemble(cubin, f"ILi{scale}E6__half")
    size, small = PATCH, PATCH // scale
    nests = [(size, ceil(size / 96)), (small, ceil(size / 32)), (small, ceil(small / 32))]
    taps = {2: 8, 3: 11, 4: 16}[scale]
    lr = 1 / scale**2
    shared = 1 + (taps + 1) / scale + (taps + 1) * lr  # Y; row pass: taps read and one written; column pass
    return Cost(
        instructions=loop_nests(code, nests) / size**2,
        operations=0,
        memory=3 + 1 + lr,
        l2=3 + 1 + lr,
        # Bytes of single lanes: a warp's access takes a cycle of 128 bytes for 32 of use.
        shared=4 * shared,
    )


def cast_cost(scale: int) -> Cost:
    """LR from 8 bits to float16, by torch: bytes only."""
    moved = (1 + BYTES) / scale**2
    return Cost(0, 0, moved, moved, 0)


def build_degrade(capability: int, target: Path) -> None:
    nvcc = shutil.which("nvcc") or os.environ.get("CUDACXX")
    source = ROOT / "csrc" / "cuda" / "degrade.cu"
    if nvcc:
        flags = ["-std=c++17", "-O3", f"-arch=sm_{capability}", f"-I{ROOT / 'csrc'}", "--cubin", "-o", str(target)]
        subprocess.run([nvcc, *flags, str(source)], check=True)
        return
    from srfast.ops.native import compiled as module

    extract = [tool("cuobjdump"), "-xelf", f"sm_{capability}", module().__file__]
    subprocess.run(extract, check=True, cwd=target.parent, capture_output=True)
    for cubin in target.parent.glob(f"*sm_{capability}.cubin"):
        if any("degrade" in name for name, _, _ in resources(cubin)):
            cubin.rename(target)
            return
    raise SystemExit("roofline: nvcc is not on PATH and the installed srfast holds no CUDA kernels")


def write(kernel: Any, folder: Path) -> Path:
    path = folder / "kernel.cubin"
    path.write_bytes(kernel.asm["cubin"])
    return path


def lines(card: Card, folder: Path) -> Iterator[str]:
    """The tables, as Markdown."""
    giga = 1e9
    for scale in (2, 3, 4):
        costs = {
            "degrade": degrade_cost(scale, folder),
            "cast": cast_cost(scale),
            "features": features_cost(scale, folder),
            "error": error_cost(scale, folder),
        }
        resources_named = "issue | tensor | memory | L2 | shared"
        yield f"x{scale} | instructions | operations | memory B | L2 B | shared B | {resources_named} | **roof**"
        yield "|".join(["---"] * 12)
        picoseconds = 0.0
        for name, cost in costs.items():
            roofs = cost.roofs(card)
            roof = min(roofs.values())
            picoseconds += 1e12 / roof
            rates = [f"{rate / giga:,.0f}" if rate < 1e15 else "" for rate in roofs.values()]
            counts = [f"{cost.instructions:.1f}", f"{cost.operations:,}"]
            counts += [f"{b:.1f}" for b in (cost.memory, cost.l2, cost.shared)]
            yield " | ".join([f"`{name}`", *counts, *rates, f"**{roof / giga:,.0f} Gpix/s**, {1e12 / roof:.1f} ps"])
        yield f"together | | | | | | | | | | | **{1e12 / picoseconds / giga:.1f} Gpix/s**, {picoseconds:.1f} ps"
        yield ""


def resource_lines(folder: Path) -> Iterator[str]:
    yield "kernel | architecture | registers | shared memory | stack and local"
    yield "|".join(["---"] * 5)
    for capability in ARCHITECTURES:
        for kernel in ("features", "error"):
            for element in ("fp16", "fp32"):
                for scale in (2, 3, 4):
                    program = compiled(kernel, capability, element, scale)
                    [(_, registers, spilled)] = resources(write(program, folder))
                    yield (
                        f"`{kernel}` x{scale} {element} | {capability} | {registers} | "
                        f"{program.metadata.shared / 1024:.0f} KiB | {spilled}"
                    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.roofline", description=__doc__)
    parser.add_argument("--resources", action="store_true", help="registers and spills of every Triton kernel instead")
    options = parser.parse_args()
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    with tempfile.TemporaryDirectory() as folder:
        for line in resource_lines(Path(folder)) if options.resources else lines(Card(), Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main()

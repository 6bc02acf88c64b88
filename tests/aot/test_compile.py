"""The Triton kernels compiled for GPUs that are not here: matrix instructions are used, shared memory suffices."""

import pytest
import triton
from srfast.kernels import cells, srcnn
from srfast.kernels.configs import lookup
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

pytestmark = pytest.mark.aot

# x3 and x4 differ in numbers only: one architecture holds them.
CASES = [(a, e, 2) for a in (80, 86, 90, 100, 120) for e in ("fp16", "fp32")]
CASES += [(89, "fp16", 2), (90, "bf16", 2), (90, "fp16", 3), (90, "fp16", 4), (120, "fp32", 4)]
SHARED = {80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}
"""KiB of shared memory that a block may have."""


def compiled(function, types, constants, capability, **options):
    assert len(function.arg_names) == len(types) + len(constants)
    signature = {**dict(zip(function.arg_names, types, strict=False)), **dict.fromkeys(constants, "constexpr")}
    # What the launcher finds: allocations are aligned to 16 bytes. Sizes are not specialized.
    attributes = {(i,): [["tt.divisibility", 16]] for i, t in enumerate(types) if t.startswith("*")}
    return triton.compile(
        ASTSource(function, signature, constants, attributes), target=GPUTarget("cuda", capability, 32), options=options
    )


def compile_kernel(kernel, capability, element, scale):
    config = lookup(kernel, capability, 4 if element == "fp32" else 2)
    value, constants = f"*{element}", {"S": scale, "BLOCK": config.block}
    if kernel == "features":
        function = srcnn.features_kernel
        types = [value, value, "*fp32", value, "*fp32", value, value, *["i32"] * 5]
        constants |= {"SIDE": srcnn.WINDOW[scale], "TAPS": srcnn.TAPS[scale], "HOIST": element != "fp32"}
    else:
        function = srcnn.error_kernel
        types = [value, "*fp32", "*u8", "*fp32", "*fp32", "i32", "i32", "i32"]
        constants |= {"SIDE": srcnn.WINDOW[scale], "WRITE_SR": False}
    return compiled(function, types, constants, capability, num_warps=config.num_warps, num_stages=config.num_stages)


@pytest.mark.parametrize(("capability", "element", "scale"), CASES)
@pytest.mark.parametrize("kernel", ["features", "error"])
def test_compiles_to_matrix_instructions(kernel, capability, element, scale):
    code = compile_kernel(kernel, capability, element, scale)
    assert code.metadata.shared <= SHARED[capability] * 1024
    if kernel == "error":
        return
    ptx = code.asm["ptx"]
    if element == "fp32":
        assert "tf32" not in ptx
        assert "fma.rn.f32" in ptx
    elif capability == 90:
        assert "wgmma.mma_async" in ptx
    elif capability == 100:
        assert "tcgen05.mma" in ptx
    else:
        assert "mma.sync" in ptx
    if element != "fp32":
        assert "cp.async" in ptx  # the weights of the next phase are on their way during this one


@pytest.mark.parametrize("capability", sorted(SHARED))
@pytest.mark.parametrize("span", [8, 128])
def test_cells_compile(span, capability):
    types = ["*u8", "*fp32", "*fp32", "*i32", "*fp32", *["i32"] * 5]
    constants = {"CELLS": cells.BLOCK // span, "SPAN": span}
    code = compiled(cells.cells_kernel, types, constants, capability, num_warps=cells.WARPS)
    assert code.metadata.shared <= SHARED[capability] * 1024


def test_sizes_do_not_compile_anew():
    for kernel, integers in ((srcnn.features_kernel, 5), (srcnn.error_kernel, 3), (cells.cells_kernel, 5)):
        assert sum(p.do_not_specialize for p in kernel.params) == integers

"""The Triton kernels compiled for GPUs that are not here: matrix instructions are used, nothing spills."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import triton
from srfast.kernels import srcnn
from srfast.kernels.configs import lookup
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

pytestmark = pytest.mark.aot

SIZES = {"fp16": 2, "bf16": 2, "fp32": 4}
CASES = [(80, "fp16"), (90, "fp16"), (90, "bf16"), (90, "fp32"), (100, "fp16")]


def compile_kernel(kernel, capability, element):
    config = lookup(kernel, capability, SIZES[element])
    value, f32, i32, const = f"*{element}", "*fp32", "i32", "constexpr"
    if kernel == "features":
        function = srcnn.features_kernel
        types = [value, value, f32, value, f32, value, i32, i32, i32, i32, const]
        constants = {"BLOCK": config.block}
    else:
        function = srcnn.error_kernel
        types = [value, value, f32, "*u8", f32, f32, i32, i32, i32, i32, const, const, const]
        constants = {"BLOCK": config.block, "DEPTH": config.depth, "WRITE_SR": False}
    signature = dict(zip(function.arg_names, types, strict=True))
    # What the launcher finds: allocations are aligned to 16 bytes.
    attributes = {(i,): [["tt.divisibility", 16]] for i, t in enumerate(types) if t.startswith("*")}
    return triton.compile(
        ASTSource(function, signature, constants, attributes),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": config.num_warps, "num_stages": config.num_stages},
    )


def assembly(compiled, tmp_path):
    bundled = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    tool = str(bundled) if bundled.exists() else shutil.which("cuobjdump")
    if tool is None:
        pytest.skip("cuobjdump is neither in Triton's package nor on PATH")
    path = tmp_path / "kernel.cubin"
    path.write_bytes(compiled.asm["cubin"])
    dumps = [
        subprocess.run([tool, what, str(path)], check=True, capture_output=True, text=True).stdout
        for what in ("--dump-resource-usage", "--dump-sass")
    ]
    return dumps[0], dumps[1]


@pytest.mark.parametrize(("capability", "element"), CASES)
@pytest.mark.parametrize("kernel", ["features", "error"])
def test_compiles_without_spills(kernel, capability, element, tmp_path):
    compiled = compile_kernel(kernel, capability, element)
    usage, sass = assembly(compiled, tmp_path)
    assert "STACK:0 " in usage
    assert "LOCAL:0 " in usage
    assert " LDL" not in sass
    assert " STL" not in sass
    ptx = compiled.asm["ptx"]
    if element == "fp32":
        assert "tf32" not in ptx
        assert "fma.rn.f32" in ptx
    elif capability == 90:
        assert "wgmma.mma_async" in ptx
        assert "HGMMA" in sass
    elif capability == 100:
        assert "tcgen05.mma" in ptx
    else:
        assert "mma.sync" in ptx

"""The CPU sources on machines that are not x86: they compile; AArch64 is emulated and gives the reference's scores."""

import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from srfast.ops.native import SRCNN_SHAPES
from srfast.ops.reference import score_patches
from srfast.scoring.network import load_network

ROOT = Path(__file__).resolve().parents[2]
CPU = ROOT / "csrc" / "cpu"
X86 = {p.name for p in CPU.glob("score_*avx*.cpp")}
ARM = {"score_int_dotprod.cpp"}
COMPILERS = [c for c in ("aarch64-linux-gnu-g++", "riscv64-linux-gnu-g++") if shutil.which(c)]
CPP = ROOT / "tests" / "cpp"
AARCH64 = "aarch64-linux-gnu-g++"
EMULATED = AARCH64 in COMPILERS and shutil.which("qemu-aarch64") is not None
FlagsOf = Callable[..., list[str]]
emulated = pytest.mark.skipif(
    not EMULATED, reason="no emulator or cross compiler (Debian: qemu-user, g++-aarch64-linux-gnu)"
)


@pytest.mark.skipif(not COMPILERS, reason="no cross compiler (Debian: g++-aarch64-linux-gnu)")
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("source", sorted(p.name for p in CPU.glob("*.cpp") if p.name not in X86 | ARM))
def test_compiles(compiler, source):
    options = ["-std=gnu++20", "-O1", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT / 'csrc'}"]
    run = subprocess.run([compiler, *options, str(CPU / source)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def aarch64(tmp_path_factory: pytest.TempPathFactory, flags_of: FlagsOf) -> Callable[[str], Path]:
    """aarch64(driver): a driver of tests/cpp and the CPU kernels as one static program of AArch64."""
    folder = tmp_path_factory.mktemp("aarch64")
    objects = []
    for source in (p for p in CPU.glob("*.cpp") if p.name not in X86):
        objects.append(folder / f"{source.stem}.o")
        _aarch64(source, flags_of, "-c", "-o", str(objects[-1]))

    @cache
    def program(driver: str) -> Path:
        _aarch64(CPP / f"{driver}.cpp", flags_of, "-c", "-o", str(folder / "driver.o"))
        command = [AARCH64, "-static", *map(str, objects), str(folder / "driver.o"), "-o", str(folder / driver)]
        subprocess.run([*command, "-pthread"], check=True)
        return folder / driver

    return program


def _aarch64(source: Path, flags_of: FlagsOf, *more: str) -> None:
    """Compiles as CMakeLists.txt does for AArch64."""
    options = ["-std=gnu++20", "-O3", "-fno-math-errno", "-ffp-contract=fast", "-Wall", "-Wextra", "-Werror"]
    options += ["-DSRFAST_DOTPROD=1", f"-I{ROOT / 'csrc'}", *flags_of(source, "any", "arm", "arm+gnu")]
    subprocess.run([AARCH64, *options, *more, str(source)], check=True)


@pytest.mark.slow
@emulated
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_integers_of_aarch64_give_the_bits_of_the_definition(scale, aarch64, srcnn_weights):
    """tests/cpp/int_check.cpp: SDOT."""
    network = load_network(srcnn_weights(scale), scale)
    data = [np.array([scale], np.int32), *(network.arrays[name].astype(np.float32) for name in SRCNN_SHAPES)]
    sent = b"".join(a.tobytes() for a in data)
    run = subprocess.run(["qemu-aarch64", "-cpu", "max", str(aarch64("int_check"))], input=sent, capture_output=True)
    assert run.returncode == 0, run.stdout.decode() + run.stderr.decode()


@pytest.mark.slow
@emulated
def test_degradations_of_aarch64_have_the_bits_of_x86(aarch64):
    """tests/cpp/degrade_check.cpp has the checksum; `make sanitize` compares it on the machine itself."""
    run = subprocess.run(["qemu-aarch64", str(aarch64("degrade_check"))], capture_output=True)
    assert run.returncode == 0, run.stdout.decode() + run.stderr.decode()


@pytest.mark.slow
@emulated
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_aarch64_scores_as_the_reference(scale, aarch64, srcnn_weights, real_patches):
    """The tolerance of test_score_patches.py; dense mode of one window gives the scores of patch mode."""
    net = load_network(srcnn_weights(scale), scale)
    weights = [net.weights[f"conv{i}.{kind}"].numpy() for i in (1, 2, 3) for kind in ("weight", "bias")]
    noise = np.random.default_rng(scale).integers(0, 256, (3, 7 * scale, 13 * scale, 3), dtype=np.uint8)
    for patches in (real_patches(4, 48), real_patches(2, 120)[..., :1].copy(), noise, noise[:, :scale, :scale].copy()):
        head = np.array([scale, 0, *patches.shape], np.int32)
        data = b"".join(a.tobytes() for a in (head, *weights, patches))
        run = subprocess.run(["qemu-aarch64", str(aarch64("score_raw"))], input=data, capture_output=True, check=True)
        patch, dense = np.frombuffer(run.stdout, np.float32).reshape(2, 3, len(patches))
        want = score_patches(torch.from_numpy(patches), net.weights, scale, torch.float64).numpy()
        np.testing.assert_allclose(patch[0], want, rtol=1e-4)
        if patches.shape[1] == patches.shape[2]:
            np.testing.assert_allclose(dense[0], patch[0], rtol=1e-6)
        assert np.isfinite(patch).all()

"""``precision="fast"``: integers where they are faster than floats, the full-precision engine elsewhere."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from srfast.data.grid import Grid
from srfast.data.images import find_images, read_rgb
from srfast.errors import RunError
from srfast.ops.native import SRCNN_SHAPES, integer_kernels, isas
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.network import Network, load_network

ROOT = Path(__file__).resolve().parents[2]
CPU = ROOT / "csrc" / "cpu"
INTEGER = integer_kernels()
needs_integer = pytest.mark.skipif(not INTEGER, reason="this machine has no reduced-precision path")


def close(fast: np.ndarray, full: np.ndarray, grey_levels: float = 0.1) -> None:
    """Root-mean-square errors within ``grey_levels``. Noise of 0.3 grey levels keeps a ranking at Spearman 0.9999."""
    np.testing.assert_allclose(np.sqrt(fast), np.sqrt(full), rtol=0, atol=grey_levels)


@needs_integer
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(12, 12), (48, 48), (96, 96), (24, 132), (132, 24), (192, 192)])
def test_losses_stay_close(size, scale, real_patches):
    network = load_network("srcnn", scale)
    fast, full = (NativeEngine(network, precision) for precision in ("fast", "fp32"))
    for x in (patches := real_patches(16, *size), patches[..., :1]):
        assert (fast.batch(x) != full.batch(x)).any()
        close(fast.batch(x), full.batch(x))


def relative(fast: np.ndarray, full: np.ndarray) -> np.ndarray:
    """Errors in parts of the loss, or of 1 where the loss is less: what such a patch teaches is noise anyway."""
    return np.abs(fast - full) / np.maximum(full, 1)


def patterns(network: Network) -> dict[str, np.ndarray]:
    """Patches [96, 96, 3] that photographs do not have, and those that excite each filter of conv1 most."""
    rng = np.random.default_rng(0)
    out = {}
    for width in range(1, 9):
        line = (np.arange(96) // width % 2 * 255).astype(np.uint8)
        upright = np.broadcast_to(line[None, :, None], (96, 96, 3))
        lying = upright.transpose(1, 0, 2)
        out |= {f"upright {width}": upright, f"lying {width}": lying, f"checkerboard {width}": upright ^ lying}
        out |= {f"pale stripes {width}": upright // 3 + 100, f"pale checkerboard {width}": (upright ^ lying) // 8 + 20}
    out["noise"] = rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    for cell in (1, 2, 3, 4, 6, 8):
        colours = rng.integers(0, 2, (96 // cell, 96 // cell, 3), dtype=np.uint8) * 255
        out[f"saturated cells {cell}"] = np.kron(colours, np.ones((cell, cell, 1), np.uint8))
    for grey in range(0, 256, 5):
        out[f"grey {grey}"] = np.full((96, 96, 3), grey, np.uint8)
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255)):
        out[f"colour {colour}"] = np.full((96, 96, 3), colour, np.uint8)
    ramp = np.arange(96)
    out["ramp"] = np.repeat((ramp[:, None] + ramp + 20).astype(np.uint8)[..., None], 3, axis=2)
    page = Image.new("RGB", (96, 96), "white")
    for y in range(0, 96, 12):
        ImageDraw.Draw(page).text((2, y), "Text on paper, 10 points", fill="black")
    out["text"] = np.asarray(page)
    for channel, taps in enumerate(network.weights["conv1.weight"][:, 0].numpy()):
        for name, sign in (("", taps > 0), ("-", taps < 0)):
            for zoom in (1, network.scale):
                tile = np.tile(np.kron(sign, np.ones((zoom, zoom))), (11, 11))[:96, :96, None]
                out[f"filter {name}{channel}, {zoom}"] = np.repeat((tile * 255).astype(np.uint8), 3, axis=2)
    return out


@needs_integer
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_patterns(scale):
    network = load_network("srcnn", scale)
    cases = patterns(network)
    x = np.stack(list(cases.values()))
    full = NativeEngine(network).batch(x)
    for isa in isas():
        if integer_kernels(isa):
            error = relative(NativeEngine(network, precision="fast", isa=isa).batch(x), full)
            assert error.max() <= 0.05, list(cases)[int(error.argmax())]


@needs_integer
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("dataset", ["BSDS400", "T91", "Urban100"])
@pytest.mark.slow
def test_every_photograph(dataset, scale, data_folder):
    network = load_network("srcnn", scale)
    engines = NativeEngine(network), NativeEngine(network, precision="fast")
    losses: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for file in find_images(data_folder(dataset)):
        image = read_rgb(file.path)
        if min(image.shape[:2]) >= 96:
            grid = Grid.over(*image.shape[:2], scale, 96, 96)
            for engine, per_photo in zip(engines, losses, strict=True):
                per_photo.append(engine.windows(image, grid).loss)
    full, fast = (np.concatenate(per_photo) for per_photo in losses)
    error = relative(fast, full)
    assert error.max() <= 0.05
    assert np.quantile(error, 0.999) <= 0.02
    assert np.corrcoef(full.argsort().argsort(), fast.argsort().argsort())[0, 1] >= 0.99999


@pytest.mark.slow
@pytest.mark.skipif(integer_kernels() == "" or shutil.which("g++") is None, reason="no g++ for x86 with AVX2")
@pytest.mark.parametrize("plain", [True, False], ids=["stand-ins", "instructions"])
def test_every_instruction_set_gives_the_bits_of_the_definition(plain, tmp_path, flags_of):
    """tests/cpp/int_check.cpp; AVX-VNNI is emulated where the processor has none, AVX-512 VNNI in plain C++."""
    if not plain and not ("avx512" in isas() and integer_kernels("avx512")):
        pytest.skip("this machine has no AVX-512 VNNI")
    objects = []
    kernels = [p for p in sorted(CPU.glob("*.cpp")) if p.stem not in ("blockiness", "score_int_dotprod")]
    for source in [*kernels, ROOT / "tests" / "cpp" / "int_check.cpp"]:
        options = ["-std=gnu++20", "-O1", "-w", "-DSRFAST_X86=1", f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'tests' / 'cpp'}"]
        stand_in = plain and source.stem == "score_int_avx512"
        options += ["-mavx2", "-mfma"] if stand_in else flags_of(source, "any", "x86")
        objects.append(tmp_path / f"{source.stem}.o")
        subprocess.run(["g++", *options, "-c", str(source), "-o", str(objects[-1])], check=True)
    program = tmp_path / "int_check"
    subprocess.run(["g++", *map(str, objects), "-o", str(program), "-pthread"], check=True)
    networks = [load_network("srcnn", scale) for scale in (2, 3, 4)]
    networks += [odd(2, 0, 0.4), odd(3, 1e-8, 0.1), odd(4, 1e-12, conv2=1e20)]
    for network in networks:
        arrays = [np.array([network.scale], np.int32), *(network.arrays[n].astype(np.float32) for n in SRCNN_SHAPES)]
        run = subprocess.run([program], input=b"".join(a.tobytes() for a in arrays), capture_output=True)
        assert run.returncode == 0, run.stdout.decode() + run.stderr.decode()


@needs_integer
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_ranking_of_photographs_stays(scale, real_patches):
    network = load_network("srcnn", scale)
    x = real_patches(400, 96)
    full = NativeEngine(network).batch(x)
    half = len(x) // 2
    for isa in isas():
        fast = NativeEngine(network, precision="fast", isa=isa).batch(x)
        assert relative(fast, full).max() <= 0.02
        assert np.corrcoef(full.argsort().argsort(), fast.argsort().argsort())[0, 1] >= 0.9999
        assert len(np.intersect1d(np.argsort(-full)[:half], np.argsort(-fast)[:half])) >= 0.995 * half


def odd(scale: int, conv1: float = 1, bias: float | None = None, conv2: float = 1, **more: float) -> Network:
    """The shipped network with one channel of conv1 (5) and of conv2 (7) of another size; what becomes constant is
    taken back by the next layer's bias, and ``twins`` is the weight of two opposite channels."""
    weights = {name: a.astype(np.float64) for name, a in (load_network("srcnn", scale).arrays or {}).items()}
    if bias is not None:
        weights["conv1.weight"][5] = conv1
        weights["conv1.bias"][5] = bias
        weights["conv2.bias"] -= weights["conv2.weight"][:, 5, 0, 0] * max(bias, 0)
    else:
        weights["conv1.weight"][5] *= conv1
        weights["conv1.bias"][5] *= conv1
        weights["conv2.weight"][:, 5] /= conv1
    weights["conv2.weight"][7] *= conv2
    weights["conv2.bias"][7] *= conv2
    weights["conv3.weight"][:, 7] /= conv2
    if "twins" in more:
        weights["conv1.weight"][1] = weights["conv1.weight"][0] * more.get("unequal", 1)
        weights["conv1.bias"][1] = weights["conv1.bias"][0]
        weights["conv2.weight"][:, 0], weights["conv2.weight"][:, 1] = more["twins"], -more["twins"]
    return Network("srcnn", "odd", "", scale, weights)


@needs_integer
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(
    "change",
    [
        *({"conv1": 0, "bias": bias} for bias in (0, 0.4, -0.4, 1e-9, 100, 1e4)),
        *({"conv1": taps, "bias": 0.1} for taps in (1e-38, 1e-12, 1e-8, 1e-7, 1e-6)),
        *({layer: size} for layer in ("conv1", "conv2") for size in (1e-30, 1e-12, 1e4, 1e30)),
        {"twins": 1},
    ],
    ids=str,
)
def test_channels_that_are_dead_tiny_huge_or_twins(change, scale, real_patches):
    """As close as the shipped network is (``test_patterns``); equal channels of opposite weights cancel."""
    network = odd(scale, **change)
    grey = np.stack([np.full((48, 48, 3), g, np.uint8) for g in range(0, 256, 15)])
    for x in (real_patches(24, 48), grey):
        full, fast = NativeEngine(network).batch(x), NativeEngine(network, precision="fast").batch(x)
        if "twins" not in change:
            assert relative(fast, full).max() <= 0.05
        elif x is not grey:
            close(fast, full)


@needs_integer
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_network_that_has_no_integers_is_refused(scale, real_patches):
    """Two channels that differ by 1 % and are subtracted with weights of 1000: no int8 weight tells them apart."""
    network = odd(scale, twins=1000, unequal=1.01)
    assert np.isfinite(NativeEngine(network).batch(real_patches(1, 48))).all()
    with pytest.raises(RunError, match=r"^precision: fast changes losses of odd"):
        NativeEngine(network, precision="fast")


def test_it_falls_back_to_full_precision_and_threads_change_nothing(real_patches):
    network = load_network("srcnn", 2)
    for isa, x in ((None, real_patches(8, 6)), ("baseline", real_patches(8, 48))):
        fast = NativeEngine(network, precision="fast", isa=isa).batch(x)
        np.testing.assert_array_equal(fast, NativeEngine(network, isa=isa).batch(x))
    engine, x = NativeEngine(network, precision="fast"), real_patches(16, 48)
    one = engine.batch(x)
    torch.set_num_threads(2)
    np.testing.assert_array_equal(engine.batch(x), one)


def test_the_network_free_columns_do_not_change(photographs):
    network = load_network("srcnn", 2)
    image = photographs["chelsea"]
    grid = Grid(np.array([0, 50, 100], np.int32), np.array([0, 40], np.int32), 48)
    for method in ("windows", "dense"):
        full = getattr(NativeEngine(network), method)(image, grid)
        fast = getattr(NativeEngine(network, precision="fast"), method)(image, grid)
        np.testing.assert_array_equal(fast.bicubic, full.bicubic)
        np.testing.assert_array_equal(fast.sobel, full.sobel)
        close(fast.loss, full.loss)

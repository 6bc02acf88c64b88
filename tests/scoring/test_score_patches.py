"""score_patches on every instruction set against the reference in float64."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import srfast
from srfast.data.grid import Grid
from srfast.errors import InputError, RunError
from srfast.ops import reference
from srfast.ops.native import isas
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.backends.protocol import window_means
from srfast.scoring.network import Network, load_network

ISAS = isas()
SCALES = (2, 3, 4)
U = 2.0**-24
"""Half of the distance from 1 to the next number in single precision."""
PATCH = np.zeros((1, 8, 8, 3), np.uint8)


def assert_scores(got: np.ndarray, want: np.ndarray, d: float | np.ndarray = 1e-4) -> None:
    """1e-4 relative is the contract of fp32. In a flat patch no rounding averages out: a reconstruction off by d grey
    levels moves a loss L by 2 d sqrt(L) + d^2. d = 1e-4 is 7 ulp of 235 (6.4e-5 was measured), which our engines
    promise."""
    assert got.dtype == np.float32
    assert np.isfinite(got).all()
    np.testing.assert_array_less(np.abs(got - want), np.maximum(1e-4 * want, 2 * d * np.sqrt(want) + d * d) + 1e-12)


_ORACLE: dict[tuple[bytes, tuple[int, ...], str, int], np.ndarray] = {}


def oracle(patches: np.ndarray, net: Network) -> np.ndarray:
    """The reference in float64, computed once for all instruction sets."""
    key = (hashlib.sha256(patches.tobytes()).digest(), patches.shape, net.sha256, net.scale)
    if key not in _ORACLE:
        x = torch.from_numpy(np.ascontiguousarray(patches))
        parts = [reference.score_patches(p, net.weights, net.scale, torch.float64) for p in x.split(4)]
        _ORACLE[key] = torch.cat(parts).numpy()
    return _ORACLE[key]


def most_off(levels: np.ndarray, net: Network) -> np.ndarray:
    """The grey levels [n] by which an fp32 reconstruction of flat patches of Y [n] may be off, in whatever order a
    library sums. A computed sum of n products differs from the exact one by at most n u / (1 - n u) times the sum of
    their sizes, u = 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms, 2002, eq. 3.5). Each such error
    reaches the output by the derivative of what follows; terms of second order are left out."""
    up = torch.from_numpy(levels / 255.0)[:, None, None, None].repeat(1, 1, 13, 13).requires_grad_()
    z, sums = up, []
    for name in ("conv1", "conv2", "conv3"):
        w, b = (net.weights[f"{name}.{part}"].double() for part in ("weight", "bias"))
        x = z.relu() if sums else z
        z = F.conv2d(x, w, b)
        z.retain_grad()
        terms = w[0].numel() + 1  # the bias is one
        sums.append((z, F.conv2d(x.detach().abs(), w.abs(), b.abs()), terms * U / (1 - terms * U)))
    z.sum().backward()
    # Up-sampling: two passes of six taps, their weights' roundings and the division; the sizes of weights sum to < 1.5.
    sums.append((up, torch.ones(()), 15 * 1.5**2 * U))
    off: np.ndarray = sum(255 * gamma * (z.grad.abs() * sizes).sum((1, 2, 3)) for z, sizes, gamma in sums).numpy()
    return off


@pytest.fixture(scope="module")
def net(srcnn_weights: Callable[[int], Path]) -> Callable[[int], Network]:
    return cache(lambda scale: load_network(srcnn_weights(scale), scale))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [12, 48, 96, 120, 192, 504])
def test_real_patches(size, scale, isa, net, real_patches):
    patches = real_patches(max(1, min(12, 40_000 // size**2)), size)
    got = srfast.score_patches(patches, scale, scorer=net(scale), backend="native", isa=isa)
    want = oracle(patches, net(scale))
    assert_scores(got, want)
    textured = want > 0.01  # a flat patch of them has a loss of 6e-5
    np.testing.assert_allclose(got[textured], want[textured], rtol=1e-4)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("lr", [(1, 1), (1, 2), (2, 1), (1, 40), (40, 1), (3, 5), (7, 13), (5, 31), (9, 4)])
def test_odd_and_oblong_patches(lr, scale, isa, net):
    h, w = lr[0] * scale, lr[1] * scale
    rng = np.random.default_rng(h * 100 + w)
    patches = rng.integers(0, 256, (3, h, w, 3), dtype=np.uint8)
    got = srfast.score_patches(patches, scale, scorer=net(scale), backend="native", isa=isa)
    assert_scores(got, oracle(patches, net(scale)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("scale", SCALES)
def test_one_channel_is_y_itself(scale, isa, net, real_patches):
    rgb = real_patches(4, 48)
    y = reference.luma(torch.from_numpy(rgb)).numpy()[..., None]
    options = {"scorer": net(scale), "backend": "native", "isa": isa}
    got = srfast.score_patches(y, scale, **options)
    np.testing.assert_array_equal(got, srfast.score_patches(rgb, scale, **options))
    noise = np.random.default_rng(0).integers(0, 256, (3, 24, 36, 1), dtype=np.uint8)
    assert_scores(srfast.score_patches(noise, scale, **options), oracle(noise, net(scale)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("scale", SCALES)
def test_extreme_patches(scale, isa, net):
    rng = np.random.default_rng(1)
    binary = [np.repeat(rng.integers(0, 2, (48, 48, 1)) * 255, 3, 2).astype(np.uint8) for _ in range(2)]
    rows, columns, checks = (np.zeros((48, 48, 3), np.uint8) for _ in range(3))
    rows[::2], columns[:, ::2], checks[::2, ::2], checks[1::2, 1::2] = 255, 255, 255, 255
    patches = np.stack([*binary, rows, columns, checks])
    got = srfast.score_patches(patches, scale, scorer=net(scale), backend="native", isa=isa)
    assert_scores(got, oracle(patches, net(scale)))


@pytest.mark.parametrize("backend", [*ISAS, "torch", "onnx"])
@pytest.mark.parametrize("scale", SCALES)
def test_every_flat_patch(scale, backend, net):
    """All 256 values of Y; white at x3 has a loss of 0.287, where 1e-4 relative is one ulp of the reconstruction.

    Other libraries are held to what any order of their sums may cost, 0.01 to 0.45 grey levels; 1e-4 to 4e-4 are seen.
    """
    patches = np.repeat(np.arange(256, dtype=np.uint8), 24 * 24).reshape(256, 24, 24, 1)
    if backend == "onnx":
        pytest.importorskip("onnxruntime", reason="needs the onnx extra")
    named = {"backend": "native", "isa": backend} if backend in ISAS else {"backend": backend}
    got = srfast.score_patches(patches, scale, scorer=net(scale), device="cpu", **named)
    off = 1e-4 if backend in ISAS else most_off(np.arange(256), net(scale))
    assert_scores(got, oracle(patches, net(scale)), off)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("scale", SCALES)
def test_bicubic_and_sobel_columns(scale, isa, photographs):
    image = photographs["coffee"][:132, :180]
    xs, ys = np.array([0, 12, 60, 132], np.int32), np.array([0, 84], np.int32)
    engine = NativeEngine(Network("bicubic", "bicubic", "", scale), isa=isa)
    scores = engine.windows(image, Grid(xs, ys, 48))
    patches = torch.from_numpy(np.stack([image[y : y + 48, x : x + 48] for y in ys for x in xs]))
    want = reference.score_patches(patches, None, scale, torch.float64).numpy()
    assert_scores(scores.bicubic, want)
    np.testing.assert_array_equal(scores.loss, scores.bicubic)
    # Sums of exact halves: only the mean is rounded, once.
    np.testing.assert_allclose(scores.sobel, reference.sobel(patches).numpy(), rtol=1e-6)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", [(301, 171), (60, 1703)])
def test_dense_threads_and_tiles_do_not_change_a_bit(shape, isa, net):
    """Images are cut into bands of rows for several threads, and into stripes of columns when they are wide."""
    h, w = shape
    image = np.random.default_rng(h).integers(0, 256, (h, w, 3), dtype=np.uint8)
    grid = Grid(np.arange(0, w - 48, 14, dtype=np.int32), np.arange(0, h - 49, 6, dtype=np.int32), 48)
    for scale in SCALES:
        engine = NativeEngine(net(scale), isa=isa)
        want = engine.dense(image, grid)
        for threads in (2, 7):
            got = engine.dense(image, grid, threads)
            for column in ("loss", "bicubic", "sobel"):
                np.testing.assert_array_equal(getattr(got, column), getattr(want, column))
        whole = torch.from_numpy(np.ascontiguousarray(image[: h // scale * scale, : w // scale * scale]))[None]
        for got, weights in ((want.loss, net(scale).weights), (want.bicubic, None)):
            error = reference.squared_error(whole, weights, scale, torch.float64)[0].numpy()
            assert_scores(got, window_means(error, grid))
        np.testing.assert_allclose(want.sobel, window_means(reference.sobel_map(whole)[0].numpy(), grid), rtol=1e-5)


@pytest.mark.parametrize("isa", ISAS)
def test_threads_and_batches_do_not_change_a_bit(isa, net, real_patches):
    patches = real_patches(7, 48)
    options = {"scorer": net(2), "backend": "native", "isa": isa}
    want = srfast.score_patches(patches, 2, **options)
    for threads in (1, 2, 16):
        torch.set_num_threads(threads)
        np.testing.assert_array_equal(srfast.score_patches(patches, 2, **options), want)
    alone = np.concatenate([srfast.score_patches(patches[i : i + 1], 2, **options) for i in range(7)])
    np.testing.assert_array_equal(alone, want)


@pytest.mark.parametrize("backend", ["native", "torch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_empty_batch(channels, backend, net):
    empty = np.zeros((0, 48, 48, channels), np.uint8)
    for patches in (empty, torch.from_numpy(empty)):
        got = srfast.score_patches(patches, 2, scorer=net(2), backend=backend)
        assert type(got) is type(patches)
        assert tuple(got.shape) == (0,)
        assert str(got.dtype).endswith("float32")


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_views_read_only_arrays_and_tensors(backend, net, real_patches):
    patches = real_patches(4, 60)
    before = patches.copy()

    def run(x):
        return np.asarray(srfast.score_patches(x, 2, scorer=net(2), backend=backend))

    for view in (
        patches[:, 6:54, 6:54],
        patches[::-1, :48, :48],
        patches[:, 47::-1, :48],
        patches[:, :48:2, :48:2],
        patches[..., ::-1][:, :48, :48],
        patches.transpose(0, 2, 1, 3)[:, :48, :48],
        patches[:, :48, :48, :1],
    ):
        np.testing.assert_array_equal(run(view), run(np.ascontiguousarray(view)))
    frozen = patches.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(run(frozen), run(patches))
    tensor = torch.from_numpy(patches)
    assert isinstance(srfast.score_patches(tensor, 2, scorer=net(2), backend=backend), torch.Tensor)
    np.testing.assert_array_equal(run(tensor), run(patches))
    np.testing.assert_array_equal(run(tensor[:, 6:54, 6:54]), run(patches[:, 6:54, 6:54]))
    np.testing.assert_array_equal(patches, before)


@pytest.mark.parametrize(
    ("patches", "options", "error", "words"),
    [
        ([1, 2], {}, TypeError, "list"),
        (np.zeros((1, 8, 8, 3), np.float32), {}, TypeError, "float32"),
        (np.zeros((1, 8, 8, 3), np.int8), {}, TypeError, "int8"),
        (torch.zeros(1, 8, 8, 3), {}, TypeError, "float32"),
        (np.zeros((8, 8, 3), np.uint8), {}, InputError, "shape"),
        (np.zeros((1, 8, 8, 4), np.uint8), {}, InputError, "shape"),
        (np.zeros((1, 3, 8, 8), np.uint8), {}, InputError, "shape"),
        (np.zeros((1, 8, 9, 3), np.uint8), {}, InputError, "8 x 9"),
        (np.zeros((1, 0, 8, 3), np.uint8), {}, InputError, "0 x 8"),
        *(
            (PATCH, {name: value}, InputError, name)
            for name, values in {
                "scale": (5, True, "2"), "scorer": ("vdsr",), "backend": ("tpu",), "device": ("tpu",),
                "precision": ("int4",), "isa": ("mmx",),
            }.items()
            for value in values
        ),
        (PATCH, {"backend": "triton", "device": "cpu"}, RunError, "triton"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(patches, options, error, words):
    options = {"scorer": "bicubic", "device": "cpu", **options}
    with pytest.raises(error, match=words):
        srfast.score_patches(patches, **options)


def test_networks_of_other_scales_are_refused_and_bicubic_has_none(net, real_patches):
    with pytest.raises(InputError, match="scale 3"):
        srfast.score_patches(np.zeros((1, 6, 6, 3), np.uint8), 3, scorer=net(2))
    got = srfast.score_patches(patches := real_patches(4, 48), 2, scorer="bicubic")
    want = reference.score_patches(torch.from_numpy(patches), None, 2, torch.float64).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_opcheck(net, real_patches):
    from srfast.ops.native import SRCNN_SHAPES

    patches = torch.from_numpy(real_patches(2, 24))
    weights = [net(2).weights[name] for name in SRCNN_SHAPES]
    op = torch.ops.srfast.score_patches.default
    torch.library.opcheck(op, (patches, weights, 2, "", False))
    assert_scores(op(patches, weights, 2, "baseline", False).numpy(), oracle(patches.numpy(), net(2)))


@pytest.mark.parametrize("dynamic", [None, True])
def test_it_may_be_called_in_a_compiled_function(dynamic):
    """The process ended there: what the compiled module was given pointers to had been freed."""
    patches = torch.randint(0, 256, (3, 12, 12, 3), dtype=torch.uint8)
    loss = torch.compile(lambda p: srfast.score_patches(p, 2) + 1, backend="eager", dynamic=dynamic)
    for p in (patches, patches[:2], patches.numpy()):
        assert (loss(p) == srfast.score_patches(p, 2) + 1).all()
    half = torch.compile(lambda p: srfast.imresize(p, 0.5), backend="eager", dynamic=dynamic)
    image = patches[0].numpy()
    assert (half(image) == srfast.imresize(image, 0.5)).all()

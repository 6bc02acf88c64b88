"""The ONNX graphs, on ONNX Runtime and OpenVINO, against the reference."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from srfast import __version__
from srfast.errors import InputError
from srfast.models.registry import WEIGHTS
from srfast.ops import reference
from srfast.scoring.backends.onnx import graph, runtime
from srfast.scoring.network import load_network

onnx = pytest.importorskip("onnx", reason="needs the onnx extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

ROOT = Path(__file__).resolve().parents[2]
SCALES = (2, 3, 4)

# Operators that ONNX Runtime, TensorRT and OpenVINO all compute in float32.
PORTABLE = {
    *("Add", "Cast", "Clip", "Concat", "Conv", "DepthToSpace", "Floor", "Gather", "Identity", "Mul", "Pad"),
    *("ReduceMean", "ReduceSum", "Relu", "Slice", "Squeeze", "Sub", "Unsqueeze"),
}


@pytest.fixture(scope="module")
def expected(real_patches: Callable[..., np.ndarray]) -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """expected(scale, size) -> 32 patches, their 8-bit LR patches and their float64 losses."""

    @cache
    def of(scale: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x = torch.from_numpy(real_patches(32, size))
        lr = reference.resample_uint8(reference.luma(x), 1 / scale)
        losses = [reference.score_patches(part, weights(scale), scale, torch.float64) for part in x.split(8)]
        return x.numpy(), lr.numpy(), torch.cat(losses).numpy()

    return of


@cache
def weights(scale: int) -> dict[str, Tensor]:
    return dict(load_network("srcnn", scale).weights)


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> np.ndarray:
    return runtime.session(model.SerializeToString(), 1, "cpu").run(None, inputs)[0]


def run_by_openvino(model: onnx.ModelProto, **inputs: np.ndarray) -> np.ndarray:
    core = pytest.importorskip("openvino", reason="openvino is not installed").Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return core.compile_model(core.read_model(model.SerializeToString()), "CPU", exact)(inputs)[0]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [48, 96, 0])
@pytest.mark.parametrize("fixed", [False, True], ids=["dynamic", "fixed"])
@pytest.mark.parametrize("infer", [run, run_by_openvino])
def test_scorer_agrees_with_the_reference(infer, fixed, size, scale, expected):
    size = size or (51 if scale == 3 else 13 * scale)  # an odd one
    x, lr, loss = expected(scale, size)
    patch = size if fixed else None
    lr_model = graph.build_scorer(weights(scale), scale, patch, output="lr")
    loss_model = graph.build_scorer(weights(scale), scale, patch)
    for batch in (1, 17) if size == 48 else (17,):
        pick = np.arange(batch)
        np.testing.assert_array_equal(infer(lr_model, patches=x[pick]), lr[pick])
        # The contract of every fp32 backend.
        np.testing.assert_allclose(infer(loss_model, patches=x[pick]), loss[pick], rtol=1e-4)


@pytest.mark.parametrize("scale", SCALES)
def test_lr_is_exact_on_noise_that_overshoots_and_ties(scale):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 256, (8, 24 * scale, 20 * scale, 1), np.uint8)
    # Black and white blocks reach both clamps; two neighbouring levels reach every tie.
    y[2:5] = np.where(y[2:5] > 127, 255, 0)
    y[5:] = 100 + y[5:] % 2
    want = reference.resample_uint8(torch.from_numpy(y[..., 0]), 1 / scale).numpy()
    for patch in (None, y.shape[1:3]):
        model = graph.build_scorer(None, scale, patch, output="lr", channels=1)
        np.testing.assert_array_equal(run(model, patches=y), want)


def colours(rgb: np.ndarray) -> np.ndarray:
    """The graph's luma of colours uint8 [n, 3]: the LR pixel of a flat patch is the patch's Y."""
    model = graph.build_scorer(None, 2, 2, output="lr").SerializeToString()
    session = runtime.session(model, 1, "cpu")
    parts = [
        session.run(None, {"patches": np.broadcast_to(part[:, None, None], (len(part), 2, 2, 3)).copy()})[0]
        for part in np.array_split(rgb, -(-len(rgb) // (1 << 18)))
    ]
    return np.concatenate(parts).reshape(-1)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_luma_is_exact_for_one_colour_of_every_weighted_sum_or_for_all(every):
    n = np.arange(1 << 24, dtype=np.uint32)
    rgb = np.stack([n >> 16, n >> 8 & 255, n & 255], axis=1).astype(np.uint8)
    if not every:
        total = rgb.astype(np.int32) @ np.array([299, 587, 114], np.int32)
        rgb = rgb[np.unique(total, return_index=True)[1]]
        assert len(rgb) > 200_000
    np.testing.assert_array_equal(colours(rgb), reference.luma(torch.from_numpy(rgb)).numpy())


@pytest.mark.parametrize("ulps", [-2, 0, 2])
def test_floors_leave_room_for_inexact_quotients(ulps):
    """Every sum that can occur is floored right even where a runtime's quotient is two float32 steps off."""

    def quotient(n, d):
        q = n.astype(np.float32) * np.float32(1 / d)
        return q + ulps * np.spacing(np.abs(q), dtype=np.float32) * (n != 0)

    for scale, d in graph.DENOMINATORS.items():
        taps, _ = graph.down_kernel(scale)
        sums = np.arange(255 * taps[taps < 0].sum(), 255 * taps[taps > 0].sum() + 1)
        np.testing.assert_array_equal(np.floor(quotient(sums + d / 2 + 0.5, d)), np.floor((2 * sums + d) / (2 * d)))
        assert sums.max() + d < 1 << 23

    s = np.arange(255_001)
    k = 73 * (s - 127_500)
    q = np.floor(quotient(k, 85_000) + np.float32(0.5))
    np.testing.assert_array_equal(
        126 + q + np.floor(quotient(k - 85_000 * q, 85_000)), 16 + (219 * s + 127_500) // 255_000
    )


@pytest.mark.parametrize("patch", [None, 96])
@pytest.mark.parametrize("kind", ["loss", "map", "lr", "bicubic", "network"])
def test_graphs_are_portable_small_and_valid(kind, patch):
    w = weights(2)
    if kind == "network":
        model = graph.build_network(w, 2, patch)
    elif kind == "bicubic":
        model = graph.build_scorer(None, 2, patch)
    else:
        model = graph.build_scorer(w, 2, patch, output=kind)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    known = {v.name for v in (*inferred.graph.value_info, *inferred.graph.output)}
    assert {o for node in model.graph.node for o in node.output} <= known
    assert {node.op_type for node in model.graph.node} <= PORTABLE
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert model.ByteSize() < 1 << 20
    (value,) = model.graph.input
    batch, *sides = (d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim)
    assert batch == "N"
    assert sides[1 if kind == "network" else 0] == (patch or "H")


def test_graph_refuses_sizes_it_cannot_score_exactly():
    model = graph.build_scorer(weights(2), 2)
    for shape in ((1, 97, 96, 3), (1, 96, 97, 3), (1, 2, 96, 3), (1, 97, 97, 3)):
        with pytest.raises(Exception, match="ONNXRuntimeError"):
            run(model, patches=np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 5}, "^scale: .* got 5"),
        ({"scale": 3, "patch": 97}, "^patch: .* the scale 3, got 97"),
        ({"scale": 2, "patch": "a"}, "^patch: .* got 'a'"),
        ({"scale": 2, "output": "sr"}, "^output: .* got 'sr'"),
        ({"scale": 2, "channels": 4}, "^channels: .* got 4"),
        ({"scale": 2, "weights": {k: v for k, v in weights(2).items() if k != "conv2.bias"}}, "conv2.bias: .* object"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(InputError, match=words):
        graph.build_scorer(**{"weights": weights(2), **options})


def test_onnx_command_writes_scorer_and_network(tmp_path, expected, run):
    digest = hashlib.sha256((WEIGHTS / "srcnn_x3.safetensors").read_bytes()).hexdigest()
    assert run("onnx", "-o", tmp_path / "s.onnx", "--scale", "3", "--patch", "48")[0] == 0
    session = runtime.session(tmp_path / "s.onnx", 1, "cpu")
    assert session.get_modelmeta().custom_metadata_map == {
        "kind": "scorer", "scorer": "srcnn", "scale": "3", "patch": "48", "boundary": "symmetric", "output": "loss",
        "weights_sha256": digest, "srfast_version": __version__,
    }  # fmt: skip
    x, _, loss = expected(3, 48)
    np.testing.assert_allclose(session.run(["loss"], {"patches": x})[0], loss, rtol=1e-4)

    assert run("onnx", "-o", tmp_path / "n.onnx", "--scale", "3", "--network-only")[0] == 0
    session = runtime.session(tmp_path / "n.onnx", 1, "cpu")
    about = session.get_modelmeta().custom_metadata_map
    assert (about["kind"], about["takes"], about["weights_sha256"]) == ("network", "up", digest)
    up = reference.degrade(reference.luma(torch.from_numpy(x)), 3, torch.float32) / 255
    (sr,) = session.run(["sr"], {"up": up.numpy()})
    # Sums of 2,048 products around 1/2 in float32.
    np.testing.assert_allclose(sr, reference.srcnn(up.double(), weights(3)).numpy(), atol=5e-6)


def test_the_documented_example_needs_only_onnxruntime_and_numpy(tmp_path, photographs):
    text = (ROOT / "docs" / "onnx.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    image = photographs["coffee"]
    np.save(tmp_path / "photo.npy", image)
    graph.export_onnx(tmp_path / "scorer.onnx")
    check = "\nimport sys; assert not {'torch', 'srfast', 'onnx'} & set(sys.modules)\nnp.save('loss.npy', loss)\n"
    result = subprocess.run([sys.executable, "-c", code + check], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows, cols = ((n - 96) // 96 + 1 for n in image.shape[:2])
    cut = np.stack([image[96 * i : 96 * i + 96, 96 * j : 96 * j + 96] for i in range(rows) for j in range(cols)])
    want = reference.score_patches(torch.from_numpy(cut), weights(2), 2, torch.float64).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "loss.npy"), want, rtol=1e-4)
    assert f"{rows * cols} patches" in result.stdout
    assert f"hardest: {want.argmax()}" in result.stdout

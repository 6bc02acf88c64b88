"""The ONNX Runtime backend: the scorer, and networks from files."""

import hashlib
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from srfast.errors import InputError, RunError
from srfast.ops import reference
from srfast.scoring.backends.onnx import graph, runtime
from srfast.scoring.backends.onnx.runtime import OnnxEngine, OnnxNetwork
from srfast.scoring.network import load_network

onnx = pytest.importorskip("onnx", reason="needs the onnx extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")
SCALES = (2, 3, 4)


@cache
def weights(scale: int) -> dict[str, Tensor]:
    return dict(load_network("srcnn", scale).weights)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("scorer", ["srcnn", "bicubic"])
def test_onnx_scorer_takes_any_multiple_of_the_scale(scorer, scale, real_patches):
    net = load_network(scorer, scale)
    engine = OnnxEngine(net, device="cpu")
    for h, w in ((1, 1), (1, 7), (2, 3), (5, 16)):
        x = real_patches(5, 72)[:, : h * scale, : w * scale]
        for part in (x, x[..., :1]):
            want = reference.score_patches(torch.from_numpy(part), net.weights, scale, torch.float64)
            np.testing.assert_allclose(engine.batch(part), want.numpy(), rtol=1e-4)
    assert engine.batch(x[:0]).shape == (0,)


def test_onnx_scorer_splits_batches_without_changing_a_bit(monkeypatch, real_patches):
    x = real_patches(32, 48)
    whole = OnnxEngine(load_network("srcnn", 2), device="cpu").batch(x)
    monkeypatch.setitem(runtime._RUN_PIXELS, runtime.CPU, 5 * 48 * 48)
    np.testing.assert_array_equal(OnnxEngine(load_network("srcnn", 2), device="cpu").batch(x), whole)
    assert whole.dtype == np.float32


@pytest.mark.parametrize("scale", SCALES)
def test_tiled_maps_equal_the_reference_map(scale, monkeypatch, photographs):
    image = photographs["astronaut"][None, : 252 // scale * scale, : 300 // scale * scale]
    want = reference.squared_error(torch.from_numpy(image), weights(scale), scale, torch.float64).numpy()
    engine = OnnxEngine(load_network("srcnn", scale), device="cpu")
    untiled = engine.errors(image)
    monkeypatch.setattr(runtime, "_TILE", 72)
    tiled = engine.errors(image)
    # Gray levels are good to about 1e-3 in float32, so a squared error is to 2e-3 of its root.
    for got in (untiled, tiled):
        assert (np.abs(got - want) <= 2e-3 * np.sqrt(want) + 1e-5).all()
    np.testing.assert_allclose(engine.batch(image), want.mean((1, 2)), rtol=1e-4)


def network(path: Path, *, factor: int = 1, shape: tuple[object, ...] = ("N", 1, "H", "W"), dtype: int = 1,
            channels: int = 1, inputs: int = 1) -> Path:  # fmt: skip
    """Writes a network that repeats each pixel ``factor`` times both ways."""
    helper = onnx.helper
    ones = np.ones(factor * factor * channels, np.float32).tobytes()
    kernel = helper.make_tensor("k", 1, (factor * factor, channels, 1, 1), ones, raw=True)
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=1),
        helper.make_node("Conv", ["f", "k"], ["c"]),
        helper.make_node("DepthToSpace", ["c"], ["z"], blocksize=factor),
    ]
    values = [helper.make_tensor_value_info(n, dtype, shape) for n in ("x", "other")[:inputs]]
    out = helper.make_tensor_value_info("z", 1, ("N", 1, "a", "b"))
    graph = helper.make_graph(nodes, "net", values, [out], [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("shape", [("N", 1, "H", "W"), ("N", 1, 24, 16), (1, 1, "H", "W"), (4, 1, 24, 16)])
@pytest.mark.parametrize("factor", [1, 2])
def test_onnx_network_finds_out_what_it_takes(tmp_path, shape, factor):
    net = OnnxNetwork(network(tmp_path / "n.onnx", factor=factor, shape=shape), 2, device="cpu")
    assert net.takes == ("up" if factor == 1 else "lr")
    lr = torch.rand((6, 1, 12 * factor, 8 * factor), generator=torch.Generator().manual_seed(0))
    want = reference.resample(lr, 2) if factor == 1 else lr.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(net(lr), want)


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another scale": (lambda p: network(p, factor=2), r"3 times it.*got \[1, 1, 96, 96\] from \[1, 1, 48, 48\]"),
    "bytes": (lambda p: network(p, dtype=2), r"got input tensor\(uint8\)"),
    "half": (lambda p: network(p, dtype=10), r"got input tensor\(float16\)"),
    "two planes": (
        lambda p: network(p, shape=("N", 2, "H", "W"), channels=2), r"got input tensor\(float\) \['N', 2, 'H', 'W'\]"
    ),
    "two inputs": (lambda p: network(p, inputs=2), "got 2 inputs and 1 outputs"),
    "four planes": (lambda p: network(p, channels=4, shape=("N", "C", "H", "W")), r"takes \[1, 3, 48, 48\], got"),
    "a text": (lambda p: p.write_text("not a graph"), "ONNX Runtime can load, got: ."),
    "an empty file": (Path.touch, "ONNX Runtime can load, got: ."),
    "nothing": (lambda p: None, "expected an .onnx file, got none"),
    "a folder": (Path.mkdir, "expected an .onnx file, got none"),
    "a scorer": (lambda p: graph.export_onnx(p, scale=3), "got a whole scorer; `srfast onnx --network-only`"),
    "of x2": (lambda p: graph.export_onnx(p, network_only=True), "expected a network for scale 3, got scale 2"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_onnx_network_refuses(what, tmp_path):
    make, words = WRONG[what]
    make(tmp_path / "n.onnx")
    with pytest.raises(InputError, match=words) as error:
        OnnxNetwork(tmp_path / "n.onnx", 3, device="cpu")
    assert str(error.value).startswith(str(tmp_path / "n.onnx"))
    assert "\n" not in str(error.value)


def test_onnx_network_refuses_sizes_it_does_not_take(tmp_path):
    net = OnnxNetwork(network(tmp_path / "n.onnx", shape=("N", 1, 24, "W")), 2, device="cpu")
    with pytest.raises(InputError, match=r"expected a network that takes \[1, 1, 16, 16\], got: "):
        net(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("claimed", [False, True])
def test_a_cuda_provider_that_does_not_work_is_not_used(claimed, monkeypatch):
    import onnxruntime

    if runtime.CUDA in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has a CUDA provider")
    if claimed:
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [runtime.CUDA, runtime.CPU])
    runtime.cuda_fails.cache_clear()
    try:
        report = runtime.provider_report()
        assert (report["onnxruntime"], report["onnx"]) == (onnxruntime.__version__, onnx.__version__)
        assert report["provider"] == OnnxEngine(load_network("bicubic", 2)).provider == runtime.CPU
        with pytest.raises(RunError, match="device: expected a working CUDA provider") as error:
            OnnxEngine(load_network("bicubic", 2), device="cuda")
        assert report["reason"] in str(error.value)
    finally:
        runtime.cuda_fails.cache_clear()


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_missing_packages_are_named_with_the_command_that_installs_them(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(RunError, match=rf"needs {missing}, which is not installed; pip install 'srfast\[onnx\]'"):
        OnnxEngine(load_network("bicubic", 2), device="cpu")
    report = runtime.provider_report()
    assert report[missing] is None
    assert report["reason"] == f"{missing} is not installed: pip install 'srfast[onnx]'"


def test_the_digest_of_a_scorer_counts_weights_in_other_files(tmp_path):
    """PyTorch's exporter writes them beside the graph, which then stays the same when the network is trained again."""
    path, inside, beside = tmp_path / "n.onnx", tmp_path / "inside.onnx", tmp_path / "weights" / "w.bin"
    model = onnx.load(network(inside, factor=2))
    assert load_network(inside, 2).sha256 == hashlib.sha256(inside.read_bytes()).hexdigest()
    beside.parent.mkdir()
    onnx.save(model, path, save_as_external_data=True, location="weights/w.bin", size_threshold=0)
    first, graph = load_network(path, 2).sha256, path.read_bytes()
    again = np.frombuffer(beside.read_bytes(), np.float32) * 2
    beside.write_bytes(again.tobytes())
    assert path.read_bytes() == graph
    assert load_network(path, 2).sha256 != first
    beside.rename(tmp_path.parent / "w.bin")  # no weights outside the folder are read
    for place in ("weights/w.bin", "../w.bin"):
        model = onnx.load(path, load_external_data=False)
        for entry in model.graph.initializer[0].external_data:
            entry.value = place if entry.key == "location" else entry.value
        path.write_bytes(model.SerializeToString())
        with pytest.raises(InputError, match=f"expected a file in its folder, got '{re.escape(place)}'$"):
            load_network(path, 2)

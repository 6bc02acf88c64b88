"""Patch mode, batch in memory: 96 x 96 patches of photographs."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch

from bench.measure import machine, network_rates, sgemm, side_by_side
from srfast.data.grid import Grid
from srfast.ops import reference
from srfast.ops.native import build_info
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.network import Network, load_network


def _eager(x: torch.Tensor, weights: Any, scale: int) -> Callable[[], Any]:
    def run() -> torch.Tensor:
        with torch.inference_mode():
            return reference.score_patches(x, weights, scale)

    return run


def _agrees(run: Callable[[], np.ndarray], x: torch.Tensor, weights: Any, scale: int) -> Callable[[], None]:
    def check() -> None:
        with torch.inference_mode():
            expected = reference.score_patches(x, weights, scale, torch.float64).numpy()
        np.testing.assert_allclose(run(), expected, rtol=1e-4)

    return check


def _three_convolutions(network: Network, patches: np.ndarray, scale: int, threads: int) -> Callable[[], Any]:
    """The network alone as its author would export it, on planes that are up-sampled already."""
    import onnx
    import onnxruntime

    node, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    value = onnx.helper.make_tensor_value_info
    assert network.weights is not None
    constants = [tensor(w.numpy(), name) for name, w in network.weights.items()]
    constants += [tensor(np.array([0, 0, n, n, 0, 0, n, n]), f"pad{n}") for n in (4, 2)]
    nodes = [
        node("Pad", ["x", "pad4"], ["a"], mode="edge"),
        node("Conv", ["a", "conv1.weight", "conv1.bias"], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("Conv", ["c", "conv2.weight", "conv2.bias"], ["d"]),
        node("Relu", ["d"], ["e"]),
        node("Pad", ["e", "pad2"], ["f"], mode="edge"),
        node("Conv", ["f", "conv3.weight", "conv3.bias"], ["y"]),
    ]
    shape: list[str | int | None] = ["n", 1, "h", "w"]
    graph = onnx.helper.make_graph(nodes, "srcnn", [value("x", 1, shape)], [value("y", 1, shape)], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = (reference.degrade(reference.luma(torch.from_numpy(patches)), scale, torch.float32) / 255).numpy()
    return lambda: session.run(None, {"x": x})


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_score_patches(beside: Any, benchmark: Any, photographs: np.ndarray, scale: int, threads: int) -> None:
    network = load_network("srcnn", scale)
    engine = NativeEngine(network)
    x = torch.from_numpy(photographs)
    references: dict[str, Callable[[], Any]] = {"eager": _eager(x[:32], network.weights, scale), "sgemm": sgemm()}
    if find_spec("onnxruntime") and find_spec("onnx"):
        from srfast.scoring.backends.onnx.runtime import OnnxEngine

        onnx = OnnxEngine(network, threads=torch.get_num_threads())
        references["onnxruntime"] = _three_convolutions(network, photographs[:32], scale, threads)
        references["onnx_backend"] = lambda: onnx.batch(photographs[:32])
    seconds = beside(
        lambda: engine.batch(photographs[:32]),
        references,
        _agrees(lambda: engine.batch(photographs[:8]), x[:8], network.weights, scale),
    )
    benchmark.extra_info.update(network_rates(seconds, 32 * 96 * 96))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_fast(beside: Any, photographs: np.ndarray, scale: int, threads: int) -> None:
    if not build_info()["fast"]:
        pytest.skip("this machine has no reduced-precision path")
    network = load_network("srcnn", scale)
    full, fast = NativeEngine(network), NativeEngine(network, precision="fast")

    def ranks_alike() -> None:
        a, b = full.batch(photographs).argsort().argsort(), fast.batch(photographs).argsort().argsort()
        assert np.corrcoef(a, b)[0, 1] >= 0.9999

    beside(lambda: fast.batch(photographs), {"fp32": lambda: full.batch(photographs)}, ranks_alike)


def test_torch_compile(beside: Any, photographs: np.ndarray) -> None:
    network = load_network("srcnn", 2)
    engine = NativeEngine(network)
    x = torch.from_numpy(photographs[:32])
    compiled = torch.compile(lambda p: reference.score_patches(p, network.weights, 2), dynamic=False)

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return compiled(x)

    try:
        run()
    except Exception as error:
        pytest.skip(f"torch.compile does not work here: {type(error).__name__}")
    beside(
        lambda: engine.batch(photographs[:32]),
        {"torch_compile": run},
        _agrees(lambda: engine.batch(photographs[:8]), x[:8], network.weights, 2),
    )


def test_two_threads(beside: Any, photographs: np.ndarray) -> None:
    """How much faster two threads are than one."""
    if torch.get_num_threads() < 2:
        pytest.skip("one core")
    engine = NativeEngine(load_network("srcnn", 2))

    def on(threads: int) -> Callable[[], np.ndarray]:
        def run() -> np.ndarray:
            before = torch.get_num_threads()
            torch.set_num_threads(threads)
            try:
                return engine.batch(photographs)
            finally:
                torch.set_num_threads(before)

        return run

    beside(on(2), {"one_thread": on(1)}, lambda: np.testing.assert_array_equal(on(1)(), on(2)()))


@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_dense_two_threads(benchmark: Any, photographs: np.ndarray, precision: str) -> None:
    """One image of 100 Mpixel in dense mode: how much faster two threads are than one."""
    if torch.get_num_threads() < 2:
        pytest.skip("one core")
    row = np.concatenate(photographs[:105], axis=1)[:, :10_000]
    image = np.tile(row, (105, 1, 1))[:10_000]
    grid = Grid.over(10_000, 10_000, 2, 96, 96)
    engine = NativeEngine(load_network("srcnn", 2), precision=precision)

    def on(threads: int) -> Callable[[], np.ndarray]:
        return lambda: engine.dense(image, grid, threads).loss

    part, few = image[:600], Grid(grid.xs, grid.ys[:6], 96)
    one, two = (engine.dense(part, few, threads).loss for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
    seconds = side_by_side({"one": on(1), "two": on(2)}, rounds=1, seconds=0)
    benchmark.extra_info["ratio_one_thread"] = seconds["one"] / seconds["two"]
    benchmark.extra_info["mpix_s"] = 100 / seconds["two"]
    benchmark.extra_info["machine"] = machine()
    benchmark.pedantic(on(2), rounds=1, iterations=1)

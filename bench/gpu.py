"""GPU figures beside their references in one run: ``python bench/gpu.py --output gpu_results.json`` (`make gpu-check`).

Medians over CUDA events, the queue filled first. Every subject is checked against the definition before it is timed; a
wrong one ends the run. Inputs are larger than the L2 cache.
"""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

from srfast.ops import reference
from srfast.scoring.backends.gpu import GpuScorer
from srfast.scoring.network import load_network

SCALE = 2
SIZE = 96
FLOP_PER_PIXEL = 2 * (81 * 64 + 64 * 32 + 25 * 32)
"""Of SRCNN 9-1-5, without padding of the matrix products."""
ROUNDS = 10
"""Of measurements, in 0.6 s."""


def seconds(run: Callable[[], Any]) -> dict[str, float]:
    """Median, 20th and 80th percentile of a call's seconds on the device.

    A round is several calls between two events. The device waits in front of them until the host has queued them all: a
    call's dispatch takes 30 to 50 microseconds in Python, as long as some of the kernels.
    """
    run()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    run()
    dispatch = time.perf_counter() - begin
    torch.cuda.synchronize()
    whole = time.perf_counter() - begin
    calls = max(2, min(20, int(0.6 / ROUNDS / max(whole, 1e-6))))
    cycles = int(2e9 * max(2 * calls * dispatch, 1e-4))  # a device cycle is half a nanosecond or so
    times: list[float] = []
    for _ in range(ROUNDS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(cycles)
        start.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3 / calls)
    low, median, high = np.percentile(times, [20, 50, 80])
    return {"median": float(median), "p20": float(low), "p80": float(high), "runs": ROUNDS * calls}


def photographs(count: int) -> Tensor:
    """uint8 [count, 96, 96, 3] on the GPU: crops of photographs that scikit-image ships, mirrored at random."""
    rng = np.random.default_rng()
    images = [data.astronaut(), data.coffee(), data.chelsea()]
    cut = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for i in range(count):
        image = images[i % 3]
        y, x = (rng.integers(0, side - SIZE + 1) for side in image.shape[:2])
        cut[i] = image[y : y + SIZE, x : x + SIZE][:, :: rng.choice((-1, 1))]
    return torch.from_numpy(cut).cuda()


def at_rate(run: Callable[[], Any], pixels: int) -> dict[str, Any]:
    timing = seconds(run)
    return {**timing, "pixels_per_second": pixels / timing["median"]}


def device_copy() -> dict[str, Any]:
    a = torch.randint(0, 256, (1 << 30,), dtype=torch.uint8, device="cuda")
    b = torch.empty_like(a)
    timing = seconds(lambda: b.copy_(a))
    return {**timing, "bytes": 2 * a.numel(), "bytes_per_second": 2 * a.numel() / timing["median"]}


def bandwidth(run: Callable[[], Any], moved: int, copy: float, pixels: int) -> dict[str, Any]:
    timing = at_rate(run, pixels)
    rate = moved / timing["median"]
    return {**timing, "bytes": moved, "bytes_per_second": rate, "of_device_copy": rate / copy}


def degrade(patches: Tensor, copy: float) -> dict[str, Any]:
    pixels = patches[..., 0].numel()
    few = patches[:64]
    y, lr, up, _ = (t.cpu() for t in torch.ops.srfast.degrade(few, SCALE, torch.float32))
    assert torch.equal(y, reference.luma(few.cpu()))
    assert torch.equal(lr, reference.resample_uint8(y, 1 / SCALE))
    torch.testing.assert_close(up, reference.resample(lr.double(), SCALE).float(), rtol=0, atol=0)
    out: dict[str, Any] = {}
    op = torch.ops.srfast.degrade
    for name, dtype, bytes_, up, sums in (
        ("y_and_lr", torch.float32, 3 + 1 + 0.25, False, False),  # what the Triton network takes
        ("y_and_lr_with_sums", torch.float32, 3 + 1 + 0.25, False, True),
        ("up_float16", torch.float16, 3 + 1 + 0.25 + 2, True, False),
        ("up_float32", torch.float32, 3 + 1 + 0.25 + 4, True, False),
    ):
        out[name] = bandwidth(partial(op, patches, SCALE, dtype, up, sums), int(pixels * bytes_), copy, pixels)
    quarter = patches[: len(patches) // 4]

    def eager() -> Tensor:
        return reference.degrade(reference.luma(quarter), SCALE, torch.float32)

    out["torch_eager_float32"] = bandwidth(eager, pixels // 4 * 8, copy, pixels // 4)
    return out


def per_sample_mse(count: int, copy: float) -> dict[str, Any]:
    pixels = count * SIZE * SIZE
    y = torch.randint(0, 256, (count, SIZE * SIZE), dtype=torch.uint8, device="cuda")
    a = torch.rand(count, SIZE * SIZE, device="cuda") * 255
    b = y.float()
    op = torch.ops.srfast.per_sample_mse
    torch.testing.assert_close(op(a, b), reference.per_sample_mse(a, b).float(), rtol=1e-6, atol=0)
    half = a.half()
    torch.testing.assert_close(op(half, y), reference.per_sample_mse(half, y).float(), rtol=1e-6, atol=0)
    return {
        "float32_float32": bandwidth(lambda: op(a, b), 8 * pixels, copy, pixels),
        "float16_uint8": bandwidth(lambda: op(half, y), 3 * pixels, copy, pixels),
        "torch_eager_float32": bandwidth(lambda: (a - b).square().mean(1), 8 * pixels, copy, pixels),
    }


def torch_network(weights: dict[str, Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """SRCNN and the loss in plain torch: bf16, channels last, the strongest settings of torch.compile's inputs."""
    layers = [
        (weights[f"conv{i}.weight"].to("cuda", torch.bfloat16, memory_format=torch.channels_last),
         weights[f"conv{i}.bias"].to("cuda", torch.bfloat16))
        for i in (1, 2, 3)
    ]  # fmt: skip

    def loss(up: Tensor, y: Tensor) -> Tensor:
        (w1, b1), (w2, b2), (w3, b3) = layers
        x = F.relu(F.conv2d(F.pad(up, (4, 4, 4, 4), mode="replicate"), w1, b1))
        x = F.relu(F.conv2d(x, w2, b2))
        sr = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), w3, b3)
        return (255 * sr.float() - y[:, None].float()).square().mean((1, 2, 3))

    return loss


def network(patches: Tensor, weights: dict[str, Tensor]) -> dict[str, Any]:
    """The network and its loss: ours from the LR plane on, torch's from the up-sampled one."""
    from srfast.kernels import srcnn

    from srfast.scoring.backends.fold import pack

    pixels = patches[..., 0].numel()
    expected = reference.score_patches(patches[:32].cpu(), weights, SCALE, torch.float64).float().cuda()
    out: dict[str, Any] = {}

    def record(name: str, run: Callable[[], Tensor], rtol: float) -> None:
        torch.testing.assert_close(run()[:32].float(), expected, rtol=rtol, atol=1.0 if rtol > 1e-3 else 0.0)
        out[name] = at_rate(run, pixels)
        out[name]["flop_per_second"] = out[name]["pixels_per_second"] * FLOP_PER_PIXEL

    y, small, plane, _ = torch.ops.srfast.degrade(patches, SCALE, torch.float32, True, False)

    def whole(lr: Tensor, packed: Any) -> Tensor:
        return srcnn.launch_error(srcnn.launch_features(lr, packed), y, packed)

    for dtype, rtol in ((torch.float16, 5e-3), (torch.bfloat16, 5e-2), (torch.float32, 1e-4)):
        name = str(dtype).removeprefix("torch.")
        lr, packed = small.to(dtype), pack(weights, SCALE, dtype, "cuda")
        products = srcnn.launch_features(lr, packed)
        record(f"triton_{name}", partial(whole, lr, packed), rtol)
        for part, run in (
            ("features", partial(srcnn.launch_features, lr, packed)),
            ("error", partial(srcnn.launch_error, products, y, packed)),
        ):
            out[f"triton_{name}_{part}"] = at_rate(run, pixels)
        del products
    up = (plane / 255)[:, None].bfloat16().contiguous(memory_format=torch.channels_last)
    eager = torch_network(weights)
    record("torch_eager_bfloat16", lambda: eager(up, y), 5e-2)
    fused = out["triton_bfloat16"]["pixels_per_second"]
    out["ratio_torch_eager"] = fused / out["torch_eager_bfloat16"]["pixels_per_second"]
    try:
        compiled = torch.compile(eager, mode="max-autotune")
        record("torch_compile_bfloat16", lambda: compiled(up, y).clone(), 5e-2)
    except Exception as error:  # another project's compiler: the figures above stay
        out["torch_compile_bfloat16"] = {"error": f"{type(error).__name__}: {error}"[:400]}
    else:
        out["ratio_torch_compile"] = fused / out["torch_compile_bfloat16"]["pixels_per_second"]
    return out


def score_patches(patches: Tensor, weights: dict[str, Tensor]) -> dict[str, Any]:
    """uint8 patches on the GPU in, losses (or all three columns) out."""
    pixels = patches[..., 0].numel()
    expected = reference.score_patches(patches[:32].cpu(), weights, SCALE, torch.float64).float()
    out: dict[str, Any] = {}
    for backend in ("triton", "native"):
        for precision, rtol in (("fast", 5e-3), ("fp32", 1e-4)):
            scorer = GpuScorer(weights, SCALE, backend, precision)
            loss = scorer.losses(patches[:32]).cpu()
            torch.testing.assert_close(loss, expected, rtol=rtol, atol=0.05 if precision == "fast" else 0.0)
            out[f"{backend}_{precision}"] = at_rate(partial(scorer.losses, patches), pixels)
            out[f"{backend}_{precision}_three_columns"] = at_rate(partial(scorer.columns, patches), pixels)
            torch.cuda.empty_cache()
    return out


def machine() -> dict[str, Any]:
    import triton

    query = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm,clocks.max.memory", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        driver = "unknown"
    properties = torch.cuda.get_device_properties(0)
    return {
        "card": properties.name,
        "multiprocessors": properties.multi_processor_count,
        "capability": f"{properties.major}.{properties.minor}",
        "driver, max clocks": driver,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "triton": triton.__version__,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


@click.command()
@click.option("--output", type=Path, default="gpu_results.json")
@click.option("--patches", "count", default=4096, help="Of 96 x 96; a quarter of them for the network alone.")
def main(output: Path, count: int) -> None:
    """Measure the kernels of a GPU beside their references."""
    weights = dict(load_network("srcnn", SCALE).weights or {})
    patches = photographs(count)
    results: dict[str, Any] = {"machine": machine(), "scale": SCALE, "patch": SIZE, "patches": count}

    def finished(name: str, figures: dict[str, Any]) -> None:
        results[name] = figures
        # After every part: what was measured stays when a later part fails.
        output.write_text(json.dumps(results, indent=1) + "\n")
        for key, value in figures.items():
            print(name, key, json.dumps(value), flush=True)

    with torch.no_grad():
        finished("device_copy", device_copy())
        copy = results["device_copy"]["bytes_per_second"]
        finished("degrade", degrade(patches, copy))
        finished("per_sample_mse", per_sample_mse(count, copy))
        finished("score_patches", score_patches(patches, weights))
        finished("network", network(patches[: count // 4].clone(), weights))


if __name__ == "__main__":
    main()

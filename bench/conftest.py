"""Fixtures of the suites."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.measure import record, side_by_side

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture
def photographs() -> np.ndarray:
    """uint8 [128, 96, 96, 3] cut from photographs that scikit-image ships."""
    data = pytest.importorskip("skimage.data", reason="needs the demo extra")
    rng = np.random.default_rng(0)
    out = []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        image = getattr(data, name)()
        h, w, _ = image.shape
        out += [
            image[y : y + 96, x : x + 96]
            for y, x in zip(rng.integers(0, h - 95, 32), rng.integers(0, w - 95, 32), strict=True)
        ]
    return np.stack(out)


@pytest.fixture(autouse=True)
def restored_threads() -> Iterator[None]:
    """A benchmark may set torch's number of threads: the next finds the machine's again."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> int:
    torch.set_num_threads(request.param)
    return int(request.param)


@pytest.fixture
def beside(benchmark: Any) -> Callable[..., dict[str, float]]:
    """beside(subject, references, check): times them interleaved and records ``ratio_<reference>`` in extra_info.

    ``check`` runs first; when it raises, the benchmark fails and no figure is recorded.
    """

    def run(
        subject: Callable[[], Any],
        references: dict[str, Callable[[], Any]],
        check: Callable[[], None],
        **info: Any,
    ) -> dict[str, float]:
        check()
        seconds = side_by_side({"subject": subject, **references})
        record(benchmark, seconds)
        benchmark.extra_info.update(info)
        benchmark.pedantic(subject, rounds=3, iterations=1)
        return seconds

    return run


@pytest.fixture
def bsds400() -> Path:
    folder = DATA / "BSDS400"
    if not folder.is_dir():
        pytest.skip("BSDS400 is not beside the project")
    return folder

"""A scorer of the user's over large images: tile by tile, the same scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import srfast
from srfast.models import tiling


class Sharpen(torch.nn.Module):
    """Nearest up-sampling and a 5 x 5 convolution; remembers the largest image it was given."""

    color = "rgb"

    def __init__(self, receptive: int | None) -> None:
        super().__init__()
        self.receptive = receptive
        self.largest = 0
        torch.manual_seed(0)
        self.blur = torch.nn.Conv2d(3, 3, 5, padding=2, padding_mode="replicate")

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        self.largest = max(self.largest, lr.shape[2] * lr.shape[3])
        return 0.9 * lr.repeat_interleave(2, 2).repeat_interleave(2, 3) + 0.1 * self.blur(
            lr.repeat_interleave(2, 2).repeat_interleave(2, 3)
        )


@pytest.mark.parametrize("receptive", [2, None])
@pytest.mark.parametrize("pairs", [False, True])
def test_dense_scores_in_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receptive: int | None, pairs: bool
) -> None:
    (tmp_path / "hr").mkdir()
    (tmp_path / "lr").mkdir()
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 256, (480, 600, 3), np.uint8)).save(tmp_path / "hr" / "a.png")
    Image.fromarray(draw.integers(0, 256, (240, 300, 3), np.uint8)).save(tmp_path / "lr" / "a.png")
    options = {"lr_images": tmp_path / "lr"} if pairs else {}
    module = Sharpen(receptive)
    want = srfast.score(tmp_path / "hr", patch=48, mode="dense", scorer=module, **options)
    assert module.largest == 240 * 300
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(tiling, "TILE", 32)
    module.largest = 0
    got = srfast.score(tmp_path / "hr", patch=48, mode="dense", scorer=module, **options)
    # One tile of twice the overlap shows whether that is enough.
    assert module.largest <= (32 + 4 * tiling.OVERLAP) ** 2
    # Convolutions of other sizes may sum in another order.
    assert np.allclose(got["loss"], want["loss"], rtol=1e-5)


class Far(torch.nn.Module):
    """Nearest up-sampling, and half of what stands 20 LR pixels to the right."""

    color = "rgb"

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        far = torch.nn.functional.pad(lr, (0, 20, 0, 0), mode="replicate")[..., 20:]
        return (0.5 * (lr + far)).repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_a_network_that_reaches_further_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Overlaps are multiples of 16: 1 is 16, which is too small for it, 17 is 32, which is not."""
    noise = np.random.default_rng(0).integers(0, 256, (192, 256, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    options = {"patch": 48, "mode": "dense", "scorer": Far()}
    whole = srfast.score(tmp_path, **options)["loss"]
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(tiling, "TILE", 32)
    assert np.array_equal(srfast.score(tmp_path, tile_overlap=17, **options)["loss"], whole)
    assert "tiles" not in caplog.text
    assert not np.allclose(srfast.score(tmp_path, tile_overlap=1, **options)["loss"], whole, rtol=1e-3)
    assert "Far: tiles of a large image with an overlap of 16 LR pixels" in caplog.text
    assert "`tile_overlap` 32 is nearer" in caplog.text

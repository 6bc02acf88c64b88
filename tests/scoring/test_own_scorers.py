"""A module or function of the caller's as the network that scores."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import srfast
from srfast.errors import InputError
from srfast.models import tiling
from srfast.ops import reference
from srfast.ops.color import to_y
from srfast.scoring.network import Network, load_network


class Nearest(nn.Module):
    """Repeats pixels; a convolution that does nothing says how many planes it takes."""

    def __init__(self, channels: int, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.same = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.dirac_(self.same.weight)

    def forward(self, lr: Tensor) -> Tensor:
        return F.interpolate(self.same(lr), scale_factor=self.scale)


def plain(patch: np.ndarray, color: str) -> float:
    """The loss of nearest neighbour, one patch at a time, in NumPy."""
    planes = patch if color == "rgb" else reference.luma(torch.from_numpy(patch)).numpy()
    lr = srfast.imresize(planes, 0.5)
    sr = np.repeat(np.repeat(lr, 2, 0), 2, 1)
    y = reference.luma(torch.from_numpy(patch)).numpy().astype(np.float64)
    sr = to_y(sr, "rgb") if color == "rgb" else sr.astype(np.float64)
    return float(((sr - y) ** 2).mean())


@pytest.mark.parametrize("kind", ["y", "rgb", "function"])
def test_a_module_or_a_function(kind, real_patches):
    patches = real_patches(5, 48)
    scorer: Any = Nearest(1 if kind == "y" else 3)
    if kind == "function":
        scorer = lambda lr: F.interpolate(lr, scale_factor=2)  # noqa: E731
    want = [plain(p, "y" if kind == "y" else "rgb") for p in patches]
    np.testing.assert_allclose(srfast.score_patches(patches, scorer=scorer), want, rtol=1e-5)


@pytest.mark.parametrize("mode", ["patch", "dense"])
def test_a_table_names_it_by_its_weights(mode, photo_folder):
    network = Nearest(3)
    table = srfast.score(photo_folder, patch=48, mode=mode, scorer=network)
    about = table.meta["scorer"]
    assert about == {"name": "Nearest", "sha256": load_network(network, 2).sha256}
    with torch.no_grad():
        network.same.weight.mul_(0.5)
    assert load_network(network, 2).sha256 != about["sha256"]
    assert (table.column("loss") > table.column("bicubic")).mean() > 0.9


def test_a_module_stays_in_the_mode_of_its_parts(photo_folder, real_patches):
    """A network that scored in its own training was in evaluation mode from then on."""
    network = Nearest(3)
    network.more = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3))
    network.more[1].eval()
    modes = [part.training for part in network.modules()]
    srfast.score_patches(real_patches(3, 48), scorer=network)
    assert [part.training for part in network.modules()] == modes
    srfast.score(photo_folder, patch=48, mode="dense", scorer=network)
    assert [part.training for part in network.modules()] == modes
    assert sorted(set(modes)) == [False, True]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(
    ("scorer", "words"),
    [
        (lambda lr: F.interpolate(lr, scale_factor=2).numpy(), r"expected an output of \[., 3, 48, 48\].*got ndarray"),
        (lambda lr: (lr, lr), r"expected an output of \[., 3, 48, 48\] at scale 2, got tuple"),
        (Nearest(3, scale=3), r"expected an output of \[., 3, 48, 48\] at scale 2"),
        (None, "scorer: expected .*, got None"),
        (3, "scorer: expected .*, got 3"),
    ],
)
def test_what_is_no_network_is_named(scorer, words, n, real_patches):
    with pytest.raises(InputError, match=words):
        srfast.score_patches(real_patches(n, 48), scorer=scorer)


@pytest.mark.parametrize("network", ["constant", "codes", "srcnn", "bicubic"])
def test_a_network_that_reconstructs_nothing_is_told(network, photo_folder, caplog):
    """Always the same grey, and the weights of SRCNN as int8 codes that nobody scaled; not the shipped networks."""
    scorer: Any = network
    if network == "constant":
        scorer = lambda lr: torch.full_like(F.interpolate(lr, scale_factor=2), 0.1)  # noqa: E731
    elif network == "codes":
        arrays = load_network("srcnn", 2).arrays or {}
        codes = {n: (a / np.abs(a).max() * 127).astype(np.int8) for n, a in arrays.items()}
        scorer = Network("srcnn", "codes", "", 2, codes)
    srfast.score(photo_folder, patch=48, scorer=scorer)
    told = [r for r in caplog.records if "above bicubic's on 100 %" in r.getMessage()]
    assert bool(told) == (network in ("constant", "codes"))
    assert bool(told) == ("bicubic's" in caplog.text)


# A scorer of the user's over large images: tile by tile, the same scores.


class Far(nn.Module):
    """Nearest up-sampling, and half of what stands 20 LR pixels to the right."""

    color = "rgb"

    def forward(self, lr: Tensor) -> Tensor:
        far = F.pad(lr, (0, 20, 0, 0), mode="replicate")[..., 20:]
        return (0.5 * (lr + far)).repeat_interleave(2, 2).repeat_interleave(2, 3)


@pytest.mark.parametrize("pairs", [False, True])
def test_dense_scores_in_tiles(pairs, tmp_path, monkeypatch, caplog):
    """Overlaps are multiples of 16: 1 is 16, which is too small for it and noticed, 17 is 32, which is not."""
    draw = np.random.default_rng(0)
    for name, size in (("hr", (192, 256, 3)), ("lr", (96, 128, 3))):
        (tmp_path / name).mkdir()
        Image.fromarray(draw.integers(0, 256, size, np.uint8)).save(tmp_path / name / "a.png")
    options = {"patch": 48, "mode": "dense", "scorer": Far(), "lr_images": tmp_path / "lr" if pairs else None}
    whole = srfast.score(tmp_path / "hr", **options)["loss"]
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(tiling, "TILE", 32)
    assert np.array_equal(srfast.score(tmp_path / "hr", tile_overlap=17, **options)["loss"], whole)
    assert "tiles" not in caplog.text
    assert not np.allclose(srfast.score(tmp_path / "hr", tile_overlap=1, **options)["loss"], whole, rtol=1e-3)
    assert "Far: tiles of a large image with an overlap of 16 LR pixels" in caplog.text
    assert "`tile_overlap` 32 is nearer" in caplog.text

"""Foreign networks, whole and in tiles: nothing is changed in place, and a tile is a run on a copy."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srfast import models
from srfast.models.loading import load_model
from srfast.models.tiling import OVERLAP, Descriptor, super_resolve

pytest.importorskip("spandrel", reason="spandrel is not installed")

# Super-resolution networks that spandrel knows, in sizes that run in a second.
KNOWN: dict[str, dict[str, Any]] = {
    "CRAFT": {},
    "Compact": {"num_feat": 8, "num_conv": 2},
    "DAT": {},
    "DCTLSA": {},
    "DITN": {},
    "ESRGAN": {"num_filters": 16, "num_blocks": 2},
    "FDAT": {},
    "HAT": {"img_size": 64, "window_size": 16, "embed_dim": 24, "depths": [2], "num_heads": [2], "upscale": 2,
            "upsampler": "pixelshuffle", "compress_ratio": 3, "squeeze_factor": 12},
    "MoSR": {},
    "OmniSR": {},
    "PLKSR": {"dim": 16, "n_blocks": 2},
    "RCAN": {"n_resgroups": 2, "n_resblocks": 2, "n_feats": 16, "reduction": 4},
    "RGT": {},
    "SAFMN": {"dim": 16},
    "SPAN": {"num_in_ch": 3, "num_out_ch": 3, "upscale": 2},
    "SeemoRe": {},
    "SwiftSRGAN": {},
    "SwinIR": {"img_size": 64, "window_size": 8, "embed_dim": 24, "depths": [2], "num_heads": [2], "upscale": 2,
               "upsampler": "pixelshuffle"},
}  # fmt: skip


SLOW = ("CRAFT", "DAT", "FDAT", "MoSR", "RGT")
"""Sizes of theirs are fixed, and take seconds."""


def _loaded(name: str, folder: Path) -> tuple[nn.Module, int]:
    torch.manual_seed(0)
    net = getattr(importlib.import_module(f"spandrel.architectures.{name}"), name)(**KNOWN[name])
    torch.save({"params": net.state_dict()}, folder / "net.pth")
    loaded = load_model(folder / "net.pth")
    return loaded.model, loaded.scale


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in KNOWN])
def test_a_loaded_network_leaves_its_input_alone(name, tmp_path):
    """On one image, twice, and in overlapping tiles of it: each is the network on a copy."""
    model, scale = _loaded(name, tmp_path)
    # No size needs padding, which would make a copy.
    lr = torch.rand(1, 3, 16, 80)
    before = lr.clone()
    with torch.inference_mode():
        whole = model(lr)
        assert torch.equal(lr, before)
        assert torch.equal(model(lr), whole)
        _check_tiles(model, lr, scale, before)


@pytest.mark.parametrize("upsampler", ["pixelshuffle", "pixelshuffledirect", "nearest+conv"])
def test_a_swinir_file_is_exact_in_tiles_where_its_context_is_known(upsampler, tmp_path):
    from spandrel.architectures.SwinIR import SwinIR

    torch.manual_seed(0)
    scale = 4 if upsampler == "nearest+conv" else 2
    sizes = {**KNOWN["SwinIR"], "upsampler": upsampler, "depths": [2, 2], "num_heads": [2, 2], "upscale": scale}
    net = SwinIR(**sizes).eval()
    torch.save({"params": net.state_dict()}, tmp_path / "net.pth")
    network = load_model(tmp_path / "net.pth")
    if upsampler == "nearest+conv":
        assert network.receptive is None
        return
    assert (network.name, network.multiple) == ("SwinIR", 8)
    lr = torch.rand(1, 3, 24, 2 * network.receptive + 60)
    with torch.inference_mode():
        whole = super_resolve(network, lr, tile=0)
        torch.testing.assert_close(whole, net(lr)[..., : whole.shape[3]], rtol=0, atol=1e-5)
        torch.testing.assert_close(super_resolve(network, lr, tile=32), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in models.names() if n not in ("san", "han", "nlsn", "ignn")])
def test_a_network_of_ours_in_tiles(name, tiny, noisy):
    """Where its context is known, they are the whole too."""
    model = noisy(tiny(name))
    network = Descriptor.of(model, 2)
    lr = torch.rand(1, network.channels, 16, 160)
    with torch.inference_mode():
        tiled = _check_tiles(model, lr, 2, lr.clone())
        if network.receptive is not None:
            assert network.receptive < 64
            whole = super_resolve(network, lr, tile=0)
            assert float((whole - tiled).abs().max()) <= 1e-5 * max(1.0, float(whole.abs().max()))


def _check_tiles(model: nn.Module, lr: Tensor, scale: int, before: Tensor) -> Tensor:
    """Tiles of 32 with the network's own margin are the network on copies of the pieces, up to rounding."""
    tiled = super_resolve(Descriptor.of(model, scale), lr, tile=32)
    assert torch.equal(lr, before)
    margin, align = getattr(model, "receptive", None), getattr(model, "multiple", 1)
    margin = OVERLAP if margin is None else -(-margin // align) * align
    step = -(-32 // align) * align
    for left in range(0, lr.shape[3], step):
        start, stop = max(0, left - margin), min(lr.shape[3], left + step + margin)
        piece = model(before[..., start:stop].clone())
        inner = piece[..., (left - start) * scale : (min(lr.shape[3], left + step) - start) * scale]
        torch.testing.assert_close(tiled[..., left * scale : (left + step) * scale], inner, rtol=0, atol=1e-5)
    return tiled

"""Networks from LR to SR in .onnx files: the scores of the same network in torch, of existing pairs, and in tiles."""

import logging
from pathlib import Path
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
from srfast.scoring.backends.onnx import graph

onnx = pytest.importorskip("onnx", reason="needs the onnx extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

SCALE = 4


class Shuffled(nn.Module):
    """Nearest up-sampling and what a 5 x 5 convolution and a pixel shuffle add to it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        torch.manual_seed(channels)
        self.conv = nn.Conv2d(channels, channels * SCALE**2, 5, padding=2)
        nn.init.normal_(self.conv.weight, std=0.02)

    def forward(self, lr: Tensor) -> Tensor:
        return F.interpolate(lr, scale_factor=SCALE) + F.pixel_shuffle(self.conv(lr), SCALE)


def exported(net: Shuffled, path: Path, size: tuple[object, object] = ("H", "W")) -> Path:
    """The same network as a graph, written by hand."""
    channels, helper = net.conv.in_channels, onnx.helper
    arrays = {name: value.detach().numpy() for name, value in net.conv.named_parameters()}
    arrays["scales"] = np.array([1, 1, SCALE, SCALE], np.float32)
    nodes = [
        helper.make_node("Conv", ["lr", "weight", "bias"], ["c"], pads=[2] * 4),
        helper.make_node("DepthToSpace", ["c"], ["d"], blocksize=SCALE, mode="CRD"),
        helper.make_node("Resize", ["lr", "", "scales"], ["up"], mode="nearest",
                         coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        helper.make_node("Add", ["up", "d"], ["sr"]),
    ]  # fmt: skip
    lr = helper.make_tensor_value_info("lr", 1, ("N", channels, *size))
    sr = helper.make_tensor_value_info("sr", 1, ("N", channels, "h", "w"))
    weights = [onnx.numpy_helper.from_array(value, name) for name, value in arrays.items()]
    made = helper.make_graph(nodes, "net", [lr], [sr], weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def pairs(tmp_path: Path, photographs: dict[str, np.ndarray]) -> tuple[Path, Path]:
    """Two photographs of odd sizes, and LR images of another degradation."""
    hr, lr = tmp_path / "HR", tmp_path / "LR"
    hr.mkdir()
    lr.mkdir()
    for i, photo in enumerate((photographs["astronaut"][100:291, 60:317], photographs["coffee"][:203, :230])):
        image = Image.fromarray(photo)
        image.save(hr / f"{i}.png")
        image.resize((image.width // SCALE, image.height // SCALE), Image.Resampling.BOX).save(lr / f"{i}x4.png")
    return hr, lr


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["patch", "dense"])
@pytest.mark.parametrize("given", [True, False])
def test_the_scores_are_those_of_the_same_network_in_torch(channels, mode, given, pairs, tmp_path):
    hr, lr = pairs
    net = Shuffled(channels)
    path = exported(net, tmp_path / "net.onnx")
    options: dict[str, Any] = {"scale": SCALE, "patch": 48, "stride": 20, "mode": mode}
    options |= {"lr_images": lr, "lr_template": "{}x4"} if given else {}
    got, want = srfast.score(hr, scorer=path, **options), srfast.score(hr, scorer=net, **options)
    assert (got.meta["backend"], got.meta["scorer"]["name"]) == ("onnx", "net.onnx")
    np.testing.assert_allclose(got["loss"], want["loss"], rtol=1e-4)
    assert np.array_equal(got["bicubic"], want["bicubic"])
    assert (got["loss"] != got["bicubic"]).all()


def test_a_network_of_upsampled_y(pairs, tmp_path):
    """``srfast onnx --network-only`` writes one: existing pairs get the scores of the shipped SRCNN."""
    hr, lr = pairs
    path = graph.export_onnx(tmp_path / "net.onnx", scale=SCALE, network_only=True)
    for mode in ("patch", "dense"):
        options: dict[str, Any] = {"lr_images": lr, "lr_template": "{}x4", "scale": SCALE, "patch": 48, "mode": mode}
        got, want = srfast.score(hr, scorer=path, **options), srfast.score(hr, **options)
        np.testing.assert_allclose(got["loss"], want["loss"], rtol=1e-4)


def test_what_pairs_refuse(pairs, tmp_path):
    hr, lr = pairs
    path = exported(Shuffled(1), tmp_path / "net.onnx")
    options: dict[str, Any] = {"lr_images": lr, "lr_template": "{}x4", "patch": 48, "scorer": path}
    with pytest.raises(InputError, match="lr_images: existing pairs are scored by ONNX Runtime in fp32"):
        srfast.score(hr, scale=SCALE, backend="torch", **options)
    (tmp_path / "x2").mkdir()
    with pytest.raises(InputError, match=r"expected output of the input's size or 2 times it \(the scale\)"):
        srfast.score(hr, scale=2, **{**options, "lr_images": tmp_path / "x2"})
    fixed = exported(Shuffled(1), tmp_path / "fixed.onnx", (16, 16))
    with pytest.raises(InputError, match="expected a network that takes"):
        srfast.score(hr, scale=SCALE, **{**options, "scorer": fixed})
    with pytest.raises(InputError, match="tile_overlap: expected a whole number of at least 0, got -1"):
        srfast.score(hr, scale=SCALE, tile_overlap=-1, **options)


@pytest.mark.parametrize("given", [True, False])
def test_dense_scores_in_tiles(given, pairs, tmp_path, monkeypatch, caplog):
    """An overlap of what the network reaches gives the whole; one that is too small is noticed, and recorded."""
    hr, lr = pairs
    path = exported(Shuffled(3), tmp_path / "net.onnx")
    options: dict[str, Any] = {"scale": SCALE, "patch": 48, "stride": 12, "mode": "dense", "scorer": path}
    options |= {"lr_images": lr, "lr_template": "{}x4"} if given else {}
    whole = srfast.score(hr, **options)
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", 500)
    monkeypatch.setattr(tiling, "TILE", 16)
    with caplog.at_level(logging.WARNING, "srfast"):
        tiled = srfast.score(hr, **options)
        assert "tiles" not in caplog.text
        np.testing.assert_allclose(tiled["loss"], whole["loss"], rtol=1e-5)
        bare = srfast.score(hr, tile_overlap=0, **options)
    assert sum("tiles" in r.getMessage() for r in caplog.records) == 1
    assert "net.onnx: tiles" in caplog.text
    assert np.abs(bare["loss"] / whole["loss"] - 1).max() > 1e-3
    assert bare.meta["tile_overlap"] == 0
    assert "tile_overlap" not in tiled.meta

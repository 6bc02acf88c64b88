"""Weights in the names and the order of the networks' authors open, and give what the authors' network gives."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import srfast
from srfast import models
from srfast.errors import InputError
from srfast.models.loading import initial_weights, load_model
from srfast.ops import reference
from srfast.scoring.network import load_network

State = dict[str, Tensor]
MEAN = torch.tensor([0.4488, 0.4371, 0.4040])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def up(scale: int, name: str = "tail.0") -> dict[str, str]:
    """Modules of an up-sampler: theirs -> ours."""
    return {f"{name}.{i}": f"tail.0.{i}" for i in ((0, 2) if scale == 4 else (0,))}


def edsr_names(scale: int, blocks: int = 2) -> dict[str, str]:
    body = {f"body.{i}.body.{j}": f"body.{i}.conv{k}" for i in range(blocks) for j, k in ((0, 1), (2, 2))}
    return {"head.0": "head", **body, f"body.{blocks}": f"body.{blocks}", **up(scale), "tail.1": "tail.1"}


def basicsr_names(scale: int) -> dict[str, str]:
    body = {f"body.{i}.conv{k}": f"body.{i}.conv{k}" for i in (0, 1) for k in (1, 2)}
    tail = {**up(scale, "upsample"), "conv_last": "tail.1"}
    return {"conv_first": "head", **body, "conv_after_body": "body.2", **tail}


def rdn_names(scale: int) -> dict[str, str]:
    names = {"SFENet1": "shallow1", "SFENet2": "shallow2", "GFF.0": "fuse.0", "GFF.1": "fuse.1", "UPNet.0": "up.0.0"}
    for d in (0, 1):
        names |= {f"RDBs.{d}.convs.{c}.conv.0": f"blocks.{d}.convs.{c}" for c in (0, 1, 2)}
        names[f"RDBs.{d}.LFF"] = f"blocks.{d}.fuse"
    return names | ({"UPNet.2": "up.0.2", "UPNet.4": "up.1"} if scale == 4 else {"UPNet.2": "up.1"})


def rdn_port_names(scale: int) -> dict[str, str]:
    names = {"sfe1": "shallow1", "sfe2": "shallow2", "gff.0": "fuse.0", "gff.1": "fuse.1", "output": "up.1"}
    for d in (0, 1):
        names |= {f"rdbs.{d}.layers.{c}.conv": f"blocks.{d}.convs.{c}" for c in (0, 1, 2)}
        names[f"rdbs.{d}.lff"] = f"blocks.{d}.fuse"
    return names | {k.replace("tail.0", "upscale"): v.replace("tail.0", "up.0") for k, v in up(scale).items()}


def san_names(scale: int) -> dict[str, str]:
    names = {"head.0": "head", **up(scale), "tail.1": "tail.1", "non_local.non_local.theta": "non_local.theta"}
    names |= {f"non_local.non_local.{n}.0": f"non_local.{n}" for n in ("phi", "g")}
    names["non_local.non_local.W"] = "non_local.w"
    for g in (0, 1):
        names |= {f"RG.{g}.rcab.0.conv_first.{j}": f"groups.{g}.blocks.0.conv{k}" for j, k in ((0, 1), (2, 2))}
        names |= {f"RG.{g}.soca.conv_du.{j}": f"groups.{g}.attention.{n}" for j, n in ((0, "down"), (2, "up"))}
        names[f"RG.{g}.conv_last"] = f"groups.{g}.last"
    return names


def han_names(scale: int) -> dict[str, str]:
    names = {"head.0": "head", **up(scale), "tail.1": "tail.1", "body.2": "after", "csa.conv": "channel_spatial.conv"}
    names |= {"last_conv": "layer_fuse", "last": "fuse"}
    for g in (0, 1):
        block, own = f"body.{g}.body.0.body", f"groups.{g}.blocks.0"
        names |= {f"{block}.0": f"{own}.conv1", f"{block}.2": f"{own}.conv2"}
        names |= {f"{block}.3.conv_du.0": f"{own}.down", f"{block}.3.conv_du.2": f"{own}.up"}
        names[f"body.{g}.body.1"] = f"groups.{g}.last"
    return names


def nlsn_names(scale: int) -> dict[str, str]:
    names = {"head.0": "head", **up(scale), "tail.1": "tail.1", "body.10": "body.10"}
    for i in (0, 9):
        names |= {f"body.{i}.conv_match.0": f"body.{i}.match", f"body.{i}.conv_assembly.0": f"body.{i}.value"}
    for i in range(1, 9):
        names |= {f"body.{i}.body.0": f"body.{i}.conv1", f"body.{i}.body.2": f"body.{i}.conv2"}
    return names


def ignn_names(scale: int) -> dict[str, str]:
    names = {"head.0": "head", "body2.1.0": "body2.1", "upsample.0": "up.0"}
    for h in (1, 2):
        names |= {f"body{h}.0.body.0": f"body{h}.0.conv1", f"body{h}.0.body.2": f"body{h}.0.conv2"}
    names |= {f"gcn.knn_downsample.{i}.0": f"aggregation.down.{2 * i}" for i in range(3)}
    for side in ("lr", "hr"):
        names |= {f"gcn.weightnet_{side}.0.0": f"aggregation.score_{side}.0"}
        names |= {
            f"gcn.weightnet_{side}.1.body.{j}": f"aggregation.score_{side}.1.conv{k}" for j, k in ((0, 1), (2, 2))
        }
        names |= {f"gcn.weightnet_{side}.2.0": f"aggregation.score_{side}.2"}
    names |= {f"fuse_{a}.{i}.0": f"fuse_{b}.{2 * i}" for a, b in (("b", "lr"), ("up", "hr")) for i in (0, 1)}
    names |= {"vggnet.model.0": "matcher.conv1", "vggnet.model.2": "matcher.conv2"}
    return names | ({"tail.0.0": "tail.0.0", "tail.1.0": "tail.1"} if scale == 4 else {"tail.0.0": "tail.0"})


def mean_shift(value_range: float) -> State:
    """The mean shift as constants."""
    eye = torch.eye(3)[..., None, None]
    shift = value_range * MEAN
    return {"sub_mean.weight": eye, "sub_mean.bias": -shift, "add_mean.weight": eye.clone(), "add_mean.bias": shift}


def renamed(own: nn.Module, names: dict[str, str]) -> State:
    """The tensors of a network of ours in their names; what the names leave out stays out."""
    state, theirs = own.state_dict(), {}
    for there, here in names.items():
        for kind in ("weight", "bias", "gamma"):
            if f"{here}.{kind}" in state:
                theirs[f"{there}.{kind}"] = state[f"{here}.{kind}"].clone()
    return theirs


def noisy(model: nn.Module) -> nn.Module:
    """Weights that let every path show; fresh networks have gammas and last layers of zero."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return model.eval()


SIZES: dict[str, dict[str, Any]] = {
    "edsr": {"features": 72, "blocks": 2},
    "edsr_baseline": {"features": 8, "blocks": 2},
    "rdn": {"features": 8, "growth": 4, "blocks": 2, "convs": 3, "subtract_mean": False},
    "san": {"features": 16, "groups": 2, "blocks": 1, "reduction": 4, "inner": 2},
    "han": {"features": 8, "groups": 2, "blocks": 1, "reduction": 4},
    "nlsn": {"features": 16, "blocks": 8},
    "ignn": {"features": 8, "blocks": 2},
}
NAMES: dict[str, Callable[[int], dict[str, str]]] = {
    "edsr": edsr_names,
    "edsr_baseline": edsr_names,
    "rdn": rdn_names,
    "san": san_names,
    "han": han_names,
    "nlsn": nlsn_names,
    "ignn": ignn_names,
}


def official(name: str, scale: int) -> tuple[nn.Module, State]:
    """A network of ours, and its weights as the authors would publish them."""
    own = noisy(models.create(name, scale, **SIZES[name]))
    state = renamed(own, NAMES[name](scale))
    if name == "ignn":
        own.matcher.loaded.fill_(True)
        state |= mean_shift(255) | {"graph.embedcnn.model.0.weight": torch.zeros(64, 3, 3, 3)}
    elif name != "rdn":
        state |= mean_shift(1 if name == "nlsn" else 255)
    if name == "san":  # in their module, and never used
        state |= {"gamma": own.gamma.detach().clone(), "conv_last.weight": torch.zeros(16, 16, 3, 3)}
        state |= {"RG.1.gamma": torch.zeros(1), "non_local.soca.conv_du.0.bias": torch.zeros(2)}
    if name == "han":  # their stages lie last to first
        state |= {"la.gamma": own.layer_attention.gamma.detach(), "csa.gamma": own.channel_spatial.gamma.detach()}
        state["last_conv.weight"] = torch.cat(state["last_conv.weight"].split(8, 1)[::-1], 1)
    return own, state


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", list(NAMES))
def test_their_weights_are_our_network(name: str, scale: int, tmp_path: Path) -> None:
    own, state = official(name, scale)
    # As they come: bare, from DataParallel, in a checkpoint.
    wrapped = {2: state, 3: {f"module.{k}": v for k, v in state.items()}, 4: {"net_state_dict": state}}[scale]
    torch.save(wrapped, tmp_path / "net.pt")
    found = load_model(tmp_path / "net.pt")
    assert (found.name, found.scale, found.color) == (name, scale, "rgb")
    assert found.receptive == own.receptive
    lr = torch.rand(1, 3, 13, 14)
    with torch.no_grad():
        torch.testing.assert_close(found.model(lr), own(lr), rtol=0, atol=1e-5)
        assert torch.equal(models.load(tmp_path / "net.pt")(lr), found.model(lr))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_edsr_in_basicsrs_names(scale: int, tmp_path: Path) -> None:
    own = noisy(models.create("edsr_baseline", scale, **SIZES["edsr_baseline"]))
    torch.save({"params": renamed(own, basicsr_names(scale))}, tmp_path / "net.pth")
    found = load_model(tmp_path / "net.pth")
    assert (found.name, found.scale) == ("edsr_baseline", scale)
    lr = torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        assert torch.equal(found.model(lr), own(lr))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_rdn_of_the_port_works_on_unit_range(scale: int, tmp_path: Path) -> None:
    own = noisy(models.create("rdn", scale, **SIZES["rdn"]))
    state = renamed(own, rdn_port_names(scale))
    state["sfe1.weight"] *= 255
    for kind in ("weight", "bias"):
        state[f"output.{kind}"] /= 255
    torch.save(state, tmp_path / "net.pth")
    lr = torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        torch.testing.assert_close(load_model(tmp_path / "net.pth").model(lr), own(lr), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["san", "han", "nlsn", "edsr"])
def test_a_trained_mean_shift_is_kept(name: str, tmp_path: Path) -> None:
    """What their network computes: convolution by sub_mean, the rest, convolution by add_mean."""
    own, state = official(name, 2)
    shift = {k: v + 0.01 * torch.randn_like(v) for k, v in mean_shift(1 if name == "nlsn" else 255).items()}
    torch.save(state | shift, tmp_path / "net.pt")
    model = load_model(tmp_path / "net.pt").model
    lr = torch.rand(1, 3, 12, 12)
    value_range = own.centred.value_range

    class Theirs(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x * value_range, shift["sub_mean.weight"], shift["sub_mean.bias"])

        def inverse(self, x: Tensor) -> Tensor:
            return F.conv2d(x, shift["add_mean.weight"], shift["add_mean.bias"]) / value_range

    with torch.no_grad():
        plain = own(lr)
        own.centred = Theirs()
        expected = own(lr)
        assert (plain - expected).abs().max() > 1e-4
        torch.testing.assert_close(model(lr), expected, rtol=0, atol=1e-5)


def test_another_range_is_folded_in(tmp_path: Path) -> None:
    """EDSR trained on [0, 1] instead of [0, 255]."""
    own, state = official("edsr_baseline", 2)
    state |= mean_shift(1)
    state["head.0.weight"] *= 255
    for kind in ("weight", "bias"):
        state[f"tail.1.{kind}"] /= 255
    torch.save(state, tmp_path / "net.pt")
    lr = torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        torch.testing.assert_close(load_model(tmp_path / "net.pt").model(lr), own(lr), rtol=0, atol=1e-5)


def fsrcnn_state(scale: int, mappings: int = 2, shared: bool = False) -> tuple[list[tuple[str, Tensor]], Tensor]:
    """Layers of FSRCNN(8, 4, m) in order, ("conv" or "slope", value), biases zero, and the deconvolution kernel."""
    channels = [(1, 8, 5), (8, 4, 1), *[(4, 4, 3)] * mappings, (4, 8, 1)]
    parts: list[tuple[str, Tensor]] = []
    for inputs, outputs, k in channels:
        parts += [("conv", torch.randn(outputs, inputs, k, k) / (inputs * k * k) ** 0.5)]
        parts += [("slope", torch.rand(1 if shared else outputs))]
    return parts, torch.randn(8, 1, 9, 9) / 20


def fsrcnn_reference(parts: list[tuple[str, Tensor]], deconv: Tensor, lr: Tensor, scale: int) -> Tensor:
    """FSRCNN as its authors compute it: replicated borders, a kernel centred on the first pixel of the block."""
    x = lr
    for kind, value in parts:
        if kind == "slope":
            x = F.prelu(x, value)
        else:
            half = value.shape[-1] // 2
            x = F.conv2d(F.pad(x, (half,) * 4, mode="replicate"), value)
    halo = 4
    whole = F.conv_transpose2d(F.pad(x, (halo,) * 4, mode="replicate"), deconv, stride=scale)
    h, w = (scale * n for n in lr.shape[2:])
    first = scale * halo + 4
    return whole[..., first : first + h, first : first + w]


def fsrcnn_in_names(parts: list[tuple[str, Tensor]], deconv: Tensor, modules: list[str], last: str) -> State:
    state: State = {}
    for name, (kind, value) in zip(modules, parts, strict=True):
        state[f"{name}.weight"] = value
        if kind == "conv":
            state[f"{name}.bias"] = torch.zeros(len(value))
    return {**state, f"{last}.weight": deconv, f"{last}.bias": torch.zeros(1)}


FSRCNN_NAMES = {
    "yjn870": ([f"first_part.{i}" for i in (0, 1)] + [f"mid_part.{i}" for i in range(8)], "last_part"),
    "Lornatang": (
        [*(f"feature_extraction.{i}" for i in (0, 1)), "shrink.0", "shrink.1", *(f"map.{i}" for i in range(4)),
         "expand.0", "expand.1"],
        "deconv",
    ),
    "Caffe": (
        ["conv1", "relu1", "conv2", "relu2", "conv22", "relu22", "conv23", "relu23", "conv24", "relu24"],
        "conv3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("source", list(FSRCNN_NAMES))
def test_fsrcnn_keeps_the_authors_alignment(source: str, scale: int, tmp_path: Path) -> None:
    parts, deconv = fsrcnn_state(scale, shared=source == "Caffe")
    modules, last = FSRCNN_NAMES[source]
    state = fsrcnn_in_names(parts, deconv, modules, last)
    if source == "Caffe":  # sees images transposed
        state = {k: v.transpose(2, 3) if v.ndim == 4 else v for k, v in state.items()}
    torch.save(state, tmp_path / f"fsrcnn_x{scale}.pth")
    found = load_model(tmp_path / f"fsrcnn_x{scale}.pth")
    assert (found.name, found.scale, found.color) == ("fsrcnn", scale, "y")
    lr = torch.rand(2, 1, 8, 9)
    with torch.no_grad():
        expected = fsrcnn_reference(parts, deconv, lr, scale)
        torch.testing.assert_close(found.model(lr), expected, rtol=0, atol=1e-5)
    # Into a network of the usual size goes what fits around its centre.
    fitting = initial_weights(tmp_path / f"fsrcnn_x{scale}.pth", "fsrcnn", scale)["deconv.weight"]
    assert fitting.shape == (8, 1, 9, 9)
    larger = initial_weights(tmp_path / f"fsrcnn_x{scale}.pth", "fsrcnn", scale, {"kernel": 11})["deconv.weight"]
    assert larger.shape[-1] == (9 if scale == 2 else 11)
    shift = (scale - 1) // 2
    assert torch.equal(fitting[..., : 9 - shift, : 9 - shift], state[f"{last}.weight"][..., shift:, shift:]) or (
        source == "Caffe"
    )


def idn_state(own: nn.Module, kernel: Tensor) -> State:
    """IDN's tensors in the names of its Caffe layers."""
    names = {"conv1": "extract.0.0", "conv2": "extract.1.0"}
    for b in (0, 1):
        names |= {
            f"conv{b + 3}_{i}": f"blocks.{b}.{'above' if i < 4 else 'below'}.{(i - 1) % 3}.0" for i in range(1, 7)
        }
        names[f"down{b + 1}"] = f"blocks.{b}.compress.0"
    return {**renamed(own, names), "upsample.weight": kernel, "upsample.bias": torch.full((1,), 0.1)}


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_idn_of_caffe_keeps_its_alignment(scale: int, tmp_path: Path) -> None:
    """(n - 1) s + 1 pixels, added to the bicubic image without its first s - 1 rows and columns."""
    own = noisy(models.create("idn", scale, features=16, kept=4, blocks=2))
    kernel = torch.randn(16, 1, 17, 17) / 30
    path = tmp_path / f"IDN_x{scale}.caffemodel"
    path.write_bytes(caffemodel(idn_state(own, kernel)))
    found = load_model(path)
    assert (found.name, found.scale) == ("idn", scale)
    lr = torch.rand(1, 1, 12, 11)
    with torch.no_grad():
        residual = F.conv_transpose2d(own.blocks(own.extract(lr)), kernel, torch.full((1,), 0.1), scale, padding=8)
        expected = reference.resample(lr, scale)[..., scale - 1 :, scale - 1 :] + residual
        got = found.model(lr)[..., scale - 1 :, scale - 1 :]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def caffemodel(state: State, old: bool = False) -> bytes:
    """NetParameter of Caffe with layers of one or more blobs, one with the sizes of before shapes."""
    layers: dict[str, list[Tensor]] = {}
    for key, value in state.items():
        layers.setdefault(key.rpartition(".")[0], []).append(value)
    message = field(1, b"a network") + varint(5 << 3) + varint(1)
    for name, blobs in layers.items():
        layer = field(1, name.encode()) + field(2, b"Convolution")
        for blob in blobs:
            data = blob.contiguous().numpy().astype("<f4").tobytes()
            if old:
                sizes = [1] * (4 - blob.ndim) + list(blob.shape)
                shape = b"".join(varint(i << 3) + varint(n) for i, n in enumerate(sizes, 1))
            else:
                shape = field(7, field(1, b"".join(varint(n) for n in blob.shape)))
            layer += field(7, field(5, data) + shape)
        message += field(100, layer)
    return message


def test_caffe_files_of_both_ages_and_normalisations(tmp_path: Path) -> None:
    from srfast.models.official.caffe import load_caffemodel

    state = {"a.weight": torch.randn(2, 3, 3, 3), "a.bias": torch.randn(2), "long name.weight": torch.randn(300)}
    (tmp_path / "new.caffemodel").write_bytes(caffemodel(state))
    (tmp_path / "old.caffemodel").write_bytes(caffemodel(state, old=True))
    new, old = (load_caffemodel(tmp_path / f"{n}.caffemodel") for n in ("new", "old"))
    assert list(new) == list(old) == list(state)
    for key, value in state.items():
        assert torch.equal(new[key], value)
        assert torch.equal(old[key].flatten(), value.flatten())
    one = caffemodel({"bn.0": torch.tensor([4.0]), "bn.1": torch.tensor([6.0]), "bn.2": torch.tensor([2.0])})
    (tmp_path / "bn.caffemodel").write_bytes(one)
    bn = load_caffemodel(tmp_path / "bn.caffemodel")
    assert {k: float(v) for k, v in bn.items()} == {"bn.running_mean": 2.0, "bn.running_var": 3.0}


@pytest.mark.parametrize(
    "data", [b"", b"garbage" * 40, struct.pack("<I", 1 << 31), caffemodel({"a.b": torch.ones(9)})[:30]]
)
def test_damaged_caffe_files_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.caffemodel").write_bytes(data)
    with pytest.raises(InputError, match=r"bad\.caffemodel: expected a Caffe model") as caught:
        models.load(tmp_path / "bad.caffemodel")
    assert "\n" not in str(caught.value)


def test_drrn_of_caffe(tmp_path: Path) -> None:
    """Normalisations by unit, weights of the first unit for all, images transposed."""
    own = noisy(models.create("drrn", 3, features=6, units=2))
    places = {"conv1": "first.0.0", "conv1_1a": "before_a.0.0", "conv1_1b": "before_b.0.0"}
    places |= {"conv1_2a": "before_a.1.0", "conv1_2b": "before_b.1.0", "conv_end": "last.0.0"}
    state: State = {}
    for theirs, ours in places.items():
        bn = own.get_submodule(ours)
        bn.running_mean.normal_()
        bn.running_var.uniform_(0.5, 2)
        state |= {f"bn_{theirs}.mean": bn.running_mean * 4, f"bn_{theirs}.var": bn.running_var * 4}
        state |= {f"bn_{theirs}.total": torch.tensor([4.0])}
        state |= {f"scale_{theirs}.weight": bn.weight, f"scale_{theirs}.bias": bn.bias}
    convs = {"conv1": own.first[1], "conv1_1a": own.conv_a, "conv1_1b": own.conv_b, "conv1_2a": own.conv_a}
    for name, conv in {**convs, "conv1_2b": own.conv_b, "conv_end": own.last[1]}.items():
        state |= {f"{name}.weight": conv.weight.transpose(2, 3), f"{name}.bias": conv.bias}
    (tmp_path / "DRRN_x3.caffemodel").write_bytes(caffemodel({k: v.detach() for k, v in state.items()}))
    found = load_model(tmp_path / "DRRN_x3.caffemodel")
    lr = torch.rand(1, 1, 7, 6)
    with torch.no_grad():
        torch.testing.assert_close(found.model(lr), own(lr), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("names", "file", "units"),
    [
        (("input", "conv1", "conv2", "output"), "drrn_x2.pth", 25),
        (("rbs.0.h0.module.1", "rbs.0.ru.module.0.module.1", "rbs.0.ru.module.1.module.1", "rec.module.1"),
         "DRRN_B1U5_x2.pth", 5),
    ],
)  # fmt: skip
def test_drrn_of_the_ports(names: tuple[str, ...], file: str, units: int, tmp_path: Path) -> None:
    """No normalisation, no biases, and a ReLU in place: the skip is the rectified first features."""
    shapes = ((6, 1), (6, 6), (6, 6), (1, 6))
    first, a, b, last = weights = [torch.randn(*s, 3, 3) / (3 * s[1] ** 0.5) / 2 for s in shapes]
    torch.save({f"{n}.weight": w for n, w in zip(names, weights, strict=True)}, tmp_path / file)
    found = load_model(tmp_path / file)
    lr = torch.rand(1, 1, 7, 6)
    y = reference.resample(lr, 2)
    skip = F.conv2d(y.relu(), first, padding=1).relu()
    x = skip
    for _ in range(units):
        x = F.conv2d(F.conv2d(x.relu(), a, padding=1).relu(), b, padding=1) + skip
    with torch.no_grad():
        torch.testing.assert_close(found.model(lr), y + F.conv2d(x.relu(), last, padding=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernels", [(9, 1, 5), (9, 3, 5), (9, 5, 5)])
@pytest.mark.parametrize("names", [("conv1", "conv2", "conv3"), ("features.0", "map.0", "reconstruction")])
def test_srcnn_of_every_size(names: tuple[str, ...], kernels: tuple[int, int, int], tmp_path: Path) -> None:
    own = noisy(models.create("srcnn", 3, kernels=kernels))
    torch.save(renamed(own, dict(zip(names, ("conv1", "conv2", "conv3"), strict=True))), tmp_path / "net.pth")
    lr = torch.rand(1, 1, 9, 8)
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "net.pth", 3).model(lr), own(lr))
    with pytest.raises(InputError, match=r"scale: .*srcnn.*name the file") as caught:
        load_model(tmp_path / "net.pth")
    assert "\n" not in str(caught.value)
    (tmp_path / "x3").mkdir()
    (tmp_path / "net.pth").rename(tmp_path / "x3" / "net.pth")
    assert load_model(tmp_path / "x3" / "net.pth").scale == 3
    with pytest.raises(InputError, match=r"scale: .*says x3"):
        load_model(tmp_path / "x3" / "net.pth", 2)


def test_srcnn_and_fsrcnn_of_matlab(tmp_path: Path) -> None:
    io = pytest.importorskip("scipy.io")
    own = noisy(models.create("srcnn", 2, kernels=(9, 3, 5)))
    w = [own.get_submodule(f"conv{i}").weight.detach().numpy() for i in (1, 2, 3)]
    b = {f"biases_conv{i}": own.get_submodule(f"conv{i}").bias.detach().numpy()[:, None] for i in (1, 2, 3)}
    columns = [x.transpose(1, 3, 2, 0).reshape(x.shape[1], -1, len(x)) for x in w]  # [in, k * k column by column, out]
    values = {"weights_conv1": columns[0][0], "weights_conv2": columns[1], "weights_conv3": columns[2][:, :, 0]}
    io.savemat(tmp_path / "x2.mat", {**values, **b})
    lr = torch.rand(1, 1, 9, 8)
    with torch.no_grad():
        torch.testing.assert_close(load_model(tmp_path / "x2.mat").model(lr), own(lr), rtol=0, atol=1e-6)

    parts, deconv = fsrcnn_state(3, shared=True)
    cells = [np.empty(n, object) for n in (len(parts) // 2 + 1, len(parts) // 2 + 1, len(parts) // 2)]
    for i, (_, weight) in enumerate([*parts[::2], ("conv", deconv)]):
        x = weight.numpy()
        cells[0][i] = x.transpose(1, 3, 2, 0).reshape(x.shape[1], -1, len(x))
        cells[1][i] = np.zeros(1 if weight is deconv else len(x))
    for i, (_, slope) in enumerate(parts[1::2]):
        cells[2][i] = slope.numpy()
    io.savemat(tmp_path / "x3.mat", dict(zip(("weights_conv", "biases_conv", "prelu_conv"), cells, strict=True)))
    with torch.no_grad():
        expected = fsrcnn_reference(parts, deconv, lr, 3)
        torch.testing.assert_close(load_model(tmp_path / "x3.mat").model(lr), expected, rtol=0, atol=1e-5)
    (tmp_path / "x4.mat").write_bytes(b"MATLAB 5.0 not")
    with pytest.raises(InputError, match=r"x4\.mat"):
        models.load(tmp_path / "x4.mat")


@pytest.mark.parametrize("color", ["RGB", "Y"])
def test_loaded_networks_of_y_take_rgb(color: str, tmp_path: Path) -> None:
    """Y by the network, chroma bicubic; the same as evaluation does, before it rounds."""
    own = models.create("srcnn", 2, pretrained=True)
    torch.save(own.state_dict(), tmp_path / "srcnn_x2.pth")
    model = models.load(tmp_path / "srcnn_x2.pth")
    assert not model.training
    lr = torch.rand(2, 3, 10, 11)
    with torch.no_grad():
        if color == "Y":
            assert torch.equal(model(lr[:, :1]), own(lr[:, :1]))
            return
        sr = model(lr)
        matrix = torch.tensor([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
        ycc = torch.einsum("ij,njhw->nihw", matrix / 255, lr) + torch.tensor([16, 128, 128]).view(1, 3, 1, 1) / 255
        back = torch.einsum("ij,njhw->nihw", matrix / 255, sr) + torch.tensor([16, 128, 128]).view(1, 3, 1, 1) / 255
        torch.testing.assert_close(back[:, :1], own(ycc[:, :1]), rtol=0, atol=1e-5)
        torch.testing.assert_close(back[:, 1:], reference.resample(ycc[:, 1:], 2), rtol=0, atol=1e-5)


def test_han_is_not_taken_for_rcan(tmp_path: Path) -> None:
    """RCAN's names are all in HAN."""
    _, state = official("han", 2)
    torch.save(state, tmp_path / "han.pt")
    assert load_model(tmp_path / "han.pt").name == "han"
    without = {k: v for k, v in state.items() if k.split(".")[0] not in ("la", "csa", "last", "last_conv")}
    pytest.importorskip("spandrel")
    torch.save(without, tmp_path / "rcan.pt")
    assert load_model(tmp_path / "rcan.pt").name == "RCAN"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda s: {k: v for k, v in s.items() if k != "tail.1.bias"},
            "edsr as EDSR-PyTorch names it, but shapes differ",
        ),
        (lambda s: {**s, "extra.weight": torch.zeros(3)}, "edsr .* but extra.weight is not of it"),
        (lambda s: {k: v for k, v in s.items() if k != "head.0.weight"}, "edsr .* but head.0.weight is missing"),
        (lambda s: {"weird.weight": torch.zeros(2, 2)}, "expected a super-resolution network that srfast or spandrel"),
    ],
)
def test_unknown_weights_name_the_nearest_known(change: Callable[[State], State], words: str, tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    _, state = official("edsr_baseline", 2)
    torch.save(change(state), tmp_path / "net.pth")
    with pytest.raises(InputError, match=words) as caught:
        models.load(tmp_path / "net.pth")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_evaluation_and_scoring_take_them(photo_folder: Path, tmp_path: Path) -> None:
    own, state = official("edsr_baseline", 2)
    torch.save(state, tmp_path / "edsr.pt")
    got = srfast.evaluate(tmp_path / "edsr.pt", photo_folder, 2)
    assert got.images == srfast.evaluate(own, photo_folder, 2).images
    network = load_network(str(tmp_path / "edsr.pt"), 2)
    assert (network.kind, network.color) == ("module", "rgb")
    with pytest.raises(InputError, match=r"scale: .* is a x2 edsr_baseline"):
        load_network(str(tmp_path / "edsr.pt"), 3)


@pytest.mark.parametrize("name", ["edsr_baseline", "han", "san"])
def test_training_starts_from_them(name: str, tmp_path: Path) -> None:
    """All but the up-sampler fits at another scale."""
    own, state = official(name, 2)
    torch.save(state, tmp_path / "net.pt")
    initial = initial_weights(tmp_path / "net.pt", name, 3)
    fresh = models.create(name, 3, **SIZES[name]).state_dict()
    fitting = {k for k, v in initial.items() if k in fresh and fresh[k].shape == v.shape}
    assert set(fresh) - fitting == {"tail.0.0.weight", "tail.0.0.bias"}
    assert all(torch.equal(initial[k], own.state_dict()[k]) for k in fitting - {"layer_fuse.weight"})


def test_training_starts_from_rcan_by_its_authors(tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    own = models.create("rcan", 2, features=16, groups=2, blocks=1, reduction=4)
    torch.save(own.net.state_dict(), tmp_path / "rcan.pt")
    initial = initial_weights(tmp_path / "rcan.pt", "rcan", 2)
    assert {k: v.shape for k, v in initial.items()} == {k: v.shape for k, v in own.state_dict().items()}

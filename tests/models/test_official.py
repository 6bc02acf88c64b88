"""Weights in the names and the order of the networks' authors open, and give what the authors' network gives."""

from collections.abc import Callable
from typing import Any

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
        inner = f"gcn.weightnet_{side}.1.body"
        names |= {f"{inner}.{j}": f"aggregation.score_{side}.1.conv{k}" for j, k in ((0, 1), (2, 2))}
        names |= {f"gcn.weightnet_{side}.2.0": f"aggregation.score_{side}.2"}
    names |= {f"fuse_{a}.{i}.0": f"fuse_{b}.{2 * i}" for a, b in (("b", "lr"), ("up", "hr")) for i in (0, 1)}
    names |= {"vggnet.model.0": "matcher.conv1", "vggnet.model.2": "matcher.conv2"}
    return names | ({"tail.0.0": "tail.0.0", "tail.1.0": "tail.1"} if scale == 4 else {"tail.0.0": "tail.0"})


def mean_shift(value_range: float) -> State:
    """The mean shift as constants."""
    eye = torch.eye(3)[..., None, None]
    shift = value_range * MEAN
    return {"sub_mean.weight": eye, "sub_mean.bias": -shift, "add_mean.weight": eye.clone(), "add_mean.bias": shift}


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
    "edsr": edsr_names, "edsr_baseline": edsr_names, "rdn": rdn_names, "san": san_names, "han": han_names,
    "nlsn": nlsn_names, "ignn": ignn_names,
}  # fmt: skip


@pytest.fixture
def official(noisy: Any, renamed: Any) -> Callable[[str, int], tuple[nn.Module, State]]:
    """A network of ours, and its weights as the authors would publish them."""

    def weights(name: str, scale: int) -> tuple[nn.Module, State]:
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

    return weights


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", list(NAMES))
def test_their_weights_are_our_network(name, scale, official, opens_as):
    own, state = official(name, scale)
    # As they come: bare, from DataParallel, in a checkpoint.
    wrapped = {2: state, 3: {f"module.{k}": v for k, v in state.items()}, 4: {"net_state_dict": state}}[scale]
    network = opens_as(wrapped, own)
    assert (network.name, network.scale, network.color) == (name, scale, "rgb")
    assert network.receptive == own.receptive


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_edsr_of_basicsr_and_rdn_of_the_port(scale, noisy, renamed, opens_as):
    """The port works on the unit range; so may EDSR, trained on it instead of [0, 255]."""
    own = noisy(models.create("edsr_baseline", scale, **SIZES["edsr_baseline"]))
    network = opens_as({"params": renamed(own, basicsr_names(scale))}, own)
    assert (network.name, network.scale) == ("edsr_baseline", scale)
    state = renamed(own, edsr_names(scale)) | mean_shift(1)
    opens_as(on_unit_range(state, "head.0", "tail.1"), own)
    own = noisy(models.create("rdn", scale, **SIZES["rdn"]))
    opens_as(on_unit_range(renamed(own, rdn_port_names(scale)), "sfe1", "output"), own)


def on_unit_range(state: State, first: str, last: str) -> State:
    state[f"{first}.weight"] *= 255
    for kind in ("weight", "bias"):
        state[f"{last}.{kind}"] /= 255
    return state


@pytest.mark.parametrize("name", ["san", "han", "nlsn", "edsr"])
def test_a_trained_mean_shift_is_kept(name, tmp_path, official):
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


@pytest.mark.parametrize("color", ["RGB", "Y"])
def test_loaded_networks_of_y_take_rgb(color, tmp_path):
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


def test_han_is_not_taken_for_rcan(tmp_path, official):
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
        (lambda s: {k: v for k, v in s.items() if k != "tail.1.bias"}, "edsr as EDSR-PyTorch .*, but shapes differ"),
        (lambda s: {**s, "extra.weight": torch.zeros(3)}, "edsr .* but extra.weight is not of it"),
        (lambda s: {k: v for k, v in s.items() if k != "head.0.weight"}, "edsr .* but head.0.weight is missing"),
        (lambda s: {"weird.weight": torch.zeros(2, 2)}, "expected a super-resolution network that srfast or spandrel"),
    ],
)
def test_unknown_weights_name_the_nearest_known(change, words, tmp_path, official):
    pytest.importorskip("spandrel")
    _, state = official("edsr_baseline", 2)
    torch.save(change(state), tmp_path / "net.pth")
    with pytest.raises(InputError, match=words) as caught:
        models.load(tmp_path / "net.pth")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_evaluation_and_scoring_take_them(photo_folder, tmp_path, official):
    own, state = official("edsr_baseline", 2)
    torch.save(state, tmp_path / "edsr.pt")
    got = srfast.evaluate(tmp_path / "edsr.pt", photo_folder, 2)
    assert got.images == srfast.evaluate(own, photo_folder, 2).images
    network = load_network(str(tmp_path / "edsr.pt"), 2)
    assert (network.kind, network.color) == ("module", "rgb")
    with pytest.raises(InputError, match=r"scale: .* is a x2 edsr_baseline"):
        load_network(str(tmp_path / "edsr.pt"), 3)


@pytest.mark.parametrize("name", ["edsr_baseline", "han", "san"])
def test_training_starts_from_them(name, tmp_path, official):
    """All but the up-sampler fits at another scale."""
    own, state = official(name, 2)
    torch.save(state, tmp_path / "net.pt")
    initial = initial_weights(tmp_path / "net.pt", name, 3)
    fresh = models.create(name, 3, **SIZES[name]).state_dict()
    fitting = {k for k, v in initial.items() if k in fresh and fresh[k].shape == v.shape}
    assert set(fresh) - fitting == {"tail.0.0.weight", "tail.0.0.bias"}
    assert all(torch.equal(initial[k], own.state_dict()[k]) for k in fitting - {"layer_fuse.weight"})
    pytest.importorskip("spandrel")
    own = models.create("rcan", 2, features=16, groups=2, blocks=1, reduction=4)
    torch.save(own.net.state_dict(), tmp_path / "rcan.pt")
    initial = initial_weights(tmp_path / "rcan.pt", "rcan", 2)
    assert {k: v.shape for k, v in initial.items()} == {k: v.shape for k, v in own.state_dict().items()}

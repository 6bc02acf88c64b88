"""Weights in the names and the order of the networks' authors open, and give what the authors' network gives."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import srfast
from srfast import models
from srfast.errors import InputError
from srfast.models.loading import initial_weights, load_model
from srfast.scoring.network import load_network

State = dict[str, Tensor]
MEAN = torch.tensor([0.4488, 0.4371, 0.4040])


TABLES = {
    "edsr": """head.0=head body.#.body.0=body.#.conv1 body.#.body.2=body.#.conv2 body.2=body.2 tail.0.#=tail.0.#
        tail.1=tail.1""",
    "basicsr": """conv_first=head body.#.conv1=body.#.conv1 body.#.conv2=body.#.conv2 conv_after_body=body.2
        upsample.#=tail.0.# conv_last=tail.1""",
    "rdn": """SFENet1=shallow1 SFENet2=shallow2 GFF.0=fuse.0 GFF.1=fuse.1 RDBs.#.convs.@.conv.0=blocks.#.convs.@
        RDBs.#.LFF=blocks.#.fuse UPNet.0=up.0.0 UPNet.2=up.0.2 UPNet.LAST=up.1""",
    "rdn port": """sfe1=shallow1 sfe2=shallow2 gff.0=fuse.0 gff.1=fuse.1 rdbs.#.layers.@.conv=blocks.#.convs.@
        rdbs.#.lff=blocks.#.fuse upscale.#=up.0.# output=up.1""",
    "san": """head.0=head tail.0.#=tail.0.# tail.1=tail.1 non_local.non_local.theta=non_local.theta
        non_local.non_local.phi.0=non_local.phi non_local.non_local.g.0=non_local.g non_local.non_local.W=non_local.w
        RG.#.rcab.0.conv_first.0=groups.#.blocks.0.conv1 RG.#.rcab.0.conv_first.2=groups.#.blocks.0.conv2
        RG.#.soca.conv_du.0=groups.#.attention.down RG.#.soca.conv_du.2=groups.#.attention.up
        RG.#.conv_last=groups.#.last""",
    "han": """head.0=head tail.0.#=tail.0.# tail.1=tail.1 body.2=after csa.conv=channel_spatial.conv
        last_conv=layer_fuse last=fuse body.#.body.0.body.0=groups.#.blocks.0.conv1
        body.#.body.0.body.2=groups.#.blocks.0.conv2 body.#.body.0.body.3.conv_du.0=groups.#.blocks.0.down
        body.#.body.0.body.3.conv_du.2=groups.#.blocks.0.up body.#.body.1=groups.#.last""",
    "nlsn": """head.0=head tail.0.#=tail.0.# tail.1=tail.1 body.10=body.10 body.#.conv_match.0=body.#.match
        body.#.conv_assembly.0=body.#.value body.#.body.0=body.#.conv1 body.#.body.2=body.#.conv2""",
    "ignn": """head.0=head body#.0.body.0=body#.0.conv1 body#.0.body.2=body#.0.conv2 body2.1.0=body2.1 upsample.0=up.0
        gcn.knn_downsample.0.0=aggregation.down.0 gcn.knn_downsample.1.0=aggregation.down.2
        gcn.knn_downsample.2.0=aggregation.down.4 gcn.weightnet_lr.#.0=aggregation.score_lr.#
        gcn.weightnet_hr.#.0=aggregation.score_hr.# gcn.weightnet_lr.1.body.0=aggregation.score_lr.1.conv1
        gcn.weightnet_lr.1.body.2=aggregation.score_lr.1.conv2 gcn.weightnet_hr.1.body.0=aggregation.score_hr.1.conv1
        gcn.weightnet_hr.1.body.2=aggregation.score_hr.1.conv2 fuse_b.0.0=fuse_lr.0 fuse_b.1.0=fuse_lr.2
        fuse_up.0.0=fuse_hr.0 fuse_up.1.0=fuse_hr.2 vggnet.model.0=matcher.conv1 vggnet.model.2=matcher.conv2
        tail.0.0=tail.0 tail.0.0=tail.0.0 tail.1.0=tail.1""",
}
"""Modules of theirs and ours; # and @ are any numbers, and what a network of ours lacks counts for nothing."""


def names(table: str, scale: int) -> list[list[str]]:
    """The modules of a network, theirs and ours."""
    text = TABLES[table].replace("LAST", "4" if scale == 4 else "2")
    pairs = [text.replace("#", str(i)).replace("@", str(j)) for i, j in product(range(10), range(3))]
    return [pair.split("=") for pair in " ".join(pairs).split()]


def mean_shift(value_range: float) -> State:
    """The mean shift as constants."""
    eye = torch.eye(3)[..., None, None]
    shift = value_range * MEAN
    return {"sub_mean.weight": eye, "sub_mean.bias": -shift, "add_mean.weight": eye.clone(), "add_mean.bias": shift}


SIZES = {
    "edsr": {"features": 72, "blocks": 2},
    "edsr_baseline": {"features": 8, "blocks": 2},
    "rdn": {"features": 8, "growth": 4, "blocks": 2, "convs": 3, "subtract_mean": False},
    "san": {"features": 16, "groups": 2, "blocks": 1, "reduction": 4, "inner": 2},
    "han": {"features": 8, "groups": 2, "blocks": 1, "reduction": 4},
    "nlsn": {"features": 16, "blocks": 8},
    "ignn": {"features": 8, "blocks": 2},
}


@pytest.fixture
def official(noisy, renamed):
    """A network of ours, and its weights as the authors would publish them."""

    def weights(name: str, scale: int) -> tuple[nn.Module, State]:
        own = noisy(models.create(name, scale, **SIZES[name]))
        state = renamed(own, names(name.removesuffix("_baseline"), scale))
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
@pytest.mark.parametrize("name", SIZES)
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
    network = opens_as({"params": renamed(own, names("basicsr", scale))}, own)
    assert (network.name, network.scale) == ("edsr_baseline", scale)
    state = renamed(own, names("edsr", scale)) | mean_shift(1)
    opens_as(on_unit_range(state, "head.0", "tail.1"), own)
    own = noisy(models.create("rdn", scale, **SIZES["rdn"]))
    opens_as(on_unit_range(renamed(own, names("rdn port", scale)), "sfe1", "output"), own)


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


def test_loaded_networks_of_y_take_rgb(tmp_path):
    own, lr = models.create("srcnn", 2, pretrained=True), torch.rand(2, 3, 10, 11)
    torch.save(own.state_dict(), tmp_path / "srcnn_x2.pth")
    model = models.load(tmp_path / "srcnn_x2.pth")
    assert not model.training
    with torch.no_grad():
        assert torch.equal(model(lr[:, :1]), own(lr[:, :1]))
        assert torch.equal(model(lr), models.rgb(own)(lr))


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

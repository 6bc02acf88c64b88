"""How the authors of SRCNN, FSRCNN, DRRN, IDN, EDSR, RDN, SAN, HAN, NLSN and IGNN, and widely used ports, lay out their
weights."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from srfast.models.official.readers import Layout, Options, State, count, shuffle_scale, sizes


def _moved(weight: Tensor, shift: int) -> Tensor:
    """A deconvolution kernel [in, out, k, k] with its taps moved by ``shift`` HR pixels, in a larger one, so that none
    is lost."""
    more = abs(shift)
    return F.pad(weight, (more + shift, more - shift, more + shift, more - shift))


def _fsrcnn_moved(own: State, _: State, scale: int) -> State:
    """Moves a kernel from the authors' centre, the first HR pixel of an LR pixel's block, to ours, and repeats
    slopes."""
    own = {**own, "deconv.weight": _moved(own["deconv.weight"], -((scale - 1) // 2))}
    for key, value in own.items():
        before = re.sub(r"\d+", lambda m: str(int(m[0]) - 1), key)
        if value.shape == (1,) and key.startswith("body.") and own[before].ndim == 4:
            own[key] = value.expand(len(own[before])).clone()
    return own


def _transposed(own: State) -> State:
    """Kernels of Caffe, which sees images transposed."""
    return {k: v.transpose(2, 3).contiguous() if v.ndim == 4 else v for k, v in own.items()}


def _fsrcnn(first: str, shrink: str, mapping: str) -> Callable[[State], Options]:
    def mappings(state: State) -> int:
        return sum(v.ndim == 4 and v.shape[-1] == 3 for k, v in state.items() if re.fullmatch(mapping, k))

    return sizes(features=first, shrunk=shrink, mappings=mappings)


def _fsrcnn_expanded(own: State, theirs: State, scale: int) -> State:
    """Names the expanding layer, which comes after the mappings, however many there are."""
    place = 4 + 2 * sum(bool(re.fullmatch(r"map\.\d+\.weight", k)) and v.ndim == 4 for k, v in theirs.items())
    own = {re.sub(r"^expand\.(\d)", lambda m: f"body.{place + int(m[1])}", k): v for k, v in own.items()}
    return _fsrcnn_moved(own, theirs, scale)


def _drrn_port(own: State, _: State, __: int) -> State:
    return {**own, **{f"{k[:-6]}bias": v.new_zeros(len(v)) for k, v in own.items()}}


def _drrn_from_caffe(own: State, _: State, __: int) -> State:
    """Transposes kernels, and adds the batch counters of PyTorch's normalisations."""
    means = {k: v for k, v in own.items() if k.endswith("running_mean")}
    counts = {k.replace("running_mean", "num_batches_tracked"): v.new_zeros(()).long() for k, v in means.items()}
    return {**_transposed(own), **counts}


def _srcnn(*names: str) -> Callable[[State], Options]:
    return lambda state: {"kernels": [state[f"{n}.weight"].shape[-1] for n in names]}


_DRRN = {"normalise": False, "rectified": True}
"""Sizes of ports, which leave normalisation out; they do not record the units, of which each has a usual number."""

Y_LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "srcnn", "srfast, yjn870/SRCNN-pytorch or the authors' MATLAB",
        ("conv1.weight", "conv2.weight", "conv3.weight"),
        {f"conv{i}": f"conv{i}" for i in (1, 2, 3)}, _srcnn("conv1", "conv2", "conv3"),
    ),
    Layout(
        "srcnn", "Lornatang/SRCNN-PyTorch", ("features.0.weight", "map.0.weight", "reconstruction.weight"),
        {"features.0": "conv1", "map.0": "conv2", "reconstruction": "conv3"},
        _srcnn("features.0", "map.0", "reconstruction"),
    ),
    Layout(
        "fsrcnn", "yjn870/FSRCNN-pytorch", ("first_part.0.weight", "mid_part.0.weight", "last_part.weight"),
        {"first_part.{n}": "body.{n}", **{f"mid_part.{n}": f"body.{n + 2}" for n in range(60)}, "last_part": "deconv"},
        _fsrcnn("first_part.0.weight", "mid_part.0.weight", r"mid_part\.\d+\.weight"), convert=_fsrcnn_moved,
    ),
    Layout(
        "fsrcnn", "Lornatang/FSRCNN-PyTorch", ("feature_extraction.0.weight", "shrink.0.weight", "deconv.weight"),
        {
            "feature_extraction.{n}": "body.{n}", "shrink.0": "body.2", "shrink.1": "body.3",
            **{f"map.{n}": f"body.{n + 4}" for n in range(60)}, "expand.{n}": "expand.{n}", "deconv": "deconv",
        },
        _fsrcnn("feature_extraction.0.weight", "shrink.0.weight", r"map\.\d+\.weight"), convert=_fsrcnn_expanded,
    ),
    Layout(
        "fsrcnn", "the authors' Caffe", ("conv1.weight", "relu1.weight", "conv22.weight", "conv3.weight"),
        {
            "conv1": "body.0", "relu1": "body.1", "conv2": "body.2", "relu2": "body.3", "conv3": "deconv",
            **{f"conv2{n}": f"body.{2 * n}" for n in range(2, 30)},
            **{f"relu2{n}": f"body.{2 * n + 1}" for n in range(2, 30)},
        },
        _fsrcnn("conv1.weight", "conv2.weight", r"conv2\d+\.weight"),
        convert=lambda own, theirs, scale: _fsrcnn_moved(_transposed(own), theirs, scale),
    ),
    Layout(
        "fsrcnn", "the authors' MATLAB", ("conv0.weight", "prelu0.weight", "deconv.weight"),
        {
            **{f"conv{n}": f"body.{2 * n}" for n in range(30)},
            **{f"prelu{n}": f"body.{2 * n + 1}" for n in range(30)}, "deconv": "deconv",
        },
        _fsrcnn("conv0.weight", "conv1.weight", r"conv\d+\.weight"), convert=_fsrcnn_moved,
    ),
    Layout(
        "drrn", "the authors' Caffe",
        ("conv1.weight", "conv1_1a.weight", "bn_conv_end.running_mean", "conv_end.weight"),
        {
            "bn_conv1": "first.0.0", "scale_conv1": "first.0.0", "conv1": "first.1", "conv1_1a": "conv_a",
            "conv1_1b": "conv_b", "bn_conv_end": "last.0.0", "scale_conv_end": "last.0.0", "conv_end": "last.1",
            "{kind}_conv1_{n}{side}": "before_{side}.{n-1}.0",
        },
        sizes(features="conv1.weight", units=r"conv1_(\d+)a\.weight"),
        unused=(r"conv1_\d+[ab]\.(weight|bias)",), convert=_drrn_from_caffe,
    ),
    Layout(
        "drrn", "jt827859032/DRRN-pytorch", ("input.weight", "conv1.weight", "conv2.weight", "output.weight"),
        {"input": "first.1", "conv1": "conv_a", "conv2": "conv_b", "output": "last.1"},
        sizes(features="input.weight", **_DRRN, units=25), convert=_drrn_port, single_unit=True,
    ),
    Layout(
        "drrn", "yjn870/DRRN-pytorch", ("rbs.0.h0.module.1.weight", "rec.module.1.weight"),
        {
            "rbs.0.h0.module.1": "first.1", "rbs.0.ru.module.0.module.1": "conv_a",
            "rbs.0.ru.module.1.module.1": "conv_b", "rec.module.1": "last.1",
        },
        sizes(features="rbs.0.h0.module.1.weight", **_DRRN, units=9), convert=_drrn_port, single_unit=True,
    ),
    Layout(
        "idn", "the authors' Caffe", ("conv1.weight", "conv3_1.weight", "down1.weight", "upsample.weight"),
        {
            "conv1": "extract.0.0", "conv2": "extract.1.0", "upsample": "deconv",
            **{
                f"conv{b + 3}_{i}": f"blocks.{b}.{'above' if i < 4 else 'below'}.{(i - 1) % 3}.0"
                for b in range(20) for i in range(1, 7)
            },
            **{f"down{b + 1}": f"blocks.{b}.compress.0" for b in range(20)},
        },
        sizes(
            features="conv1.weight", kept=lambda state: len(state["conv1.weight"]) - len(state["conv3_1.weight"]),
            blocks=r"down(\d+)\.weight",
        ),
        # From the authors' centre, the last HR pixel of an LR pixel's block, to ours, its middle.
        convert=lambda own, _, scale: {
            **own, "deconv.weight": _moved(own["deconv.weight"], scale - 1 - (scale - 1) // 2)
        },
    ),
)  # fmt: skip

_RANGE = 255.0

# EDSR-PyTorch's parts, which SAN, HAN and NLSN were written with.
_EDSR_UP = {"tail.0.{n}": "tail.0.{n}", "tail.1": "tail.1", "head.0": "head"}
_EDSR_SCALE = shuffle_scale("tail.0.0.weight", "tail.0.2.weight")
_MEAN_SHIFT = (r"(sub|add)_mean\.(weight|bias)",)


def _edsr(first: str, block: str) -> Callable[[State], Options]:
    # The weights do not say the residual scaling: 0.1 for the wide network, none for the baseline.
    return sizes(features=first, blocks=block, weight=lambda state: 0.1 if len(state[first]) > 64 else 1.0)


def _basicsr_last(own: State, _: State, __: int) -> State:
    blocks = count(own, r"body\.(\d+)\.conv1\.weight")
    return {re.sub(r"^body\.last", f"body.{blocks}", k): v for k, v in own.items()}


def _rdn_unit_range(own: State, _: State, __: int) -> State:
    """The port works on [0, 1]."""
    scaled = {k: v * _RANGE for k, v in own.items() if k.startswith("up.1.")}
    return {**own, "shallow1.weight": own["shallow1.weight"] / _RANGE, **scaled}


def _han_order(own: State, _: State, __: int) -> State:
    """The authors stack the stages last to first."""
    weight = own["layer_fuse.weight"]
    stages = weight.unflatten(1, (-1, weight.shape[0])).flip(1).flatten(1, 2)
    return {**own, "layer_fuse.weight": stages.contiguous()}


_IGNN = {
    "head.0": "head",
    "body{h}.{n}.body.0": "body{h}.{n}.conv1",
    "body{h}.{n}.body.2": "body{h}.{n}.conv2",
    "body2.{n}.0": "body2.{n}",
    "gcn.knn_downsample.0.0": "aggregation.down.0",
    "gcn.knn_downsample.1.0": "aggregation.down.2",
    "gcn.knn_downsample.2.0": "aggregation.down.4",
    **{
        f"gcn.weightnet_{side}.{theirs}": f"aggregation.score_{side}.{ours}"
        for side in ("lr", "hr")
        for theirs, ours in (("0.0", "0"), ("1.body.0", "1.conv1"), ("1.body.2", "1.conv2"), ("2.0", "2"))
    },
    **{f"fuse_{a}.{i}.0": f"fuse_{b}.{2 * i}" for a, b in (("b", "lr"), ("up", "hr")) for i in (0, 1)},
    "upsample.0": "up.0",
    "vggnet.model.0": "matcher.conv1",
    "vggnet.model.2": "matcher.conv2",
}
_IGNN_UNUSED = (r"(sub_mean|add_mean|vggnet\.sub_mean)\.(weight|bias)", r"graph\..*")


RGB_LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "edsr", "EDSR-PyTorch", ("head.0.weight", "body.0.body.0.weight", "tail.0.0.weight", "tail.1.weight"),
        {**_EDSR_UP, "body.{n}.body.0": "body.{n}.conv1", "body.{n}.body.2": "body.{n}.conv2", "body.{n}": "body.{n}"},
        _edsr("head.0.weight", r"body\.(\d+)\.body\.0\.weight"), _EDSR_SCALE, _MEAN_SHIFT, mean_range=_RANGE,
    ),
    Layout(
        "edsr", "BasicSR", ("conv_first.weight", "body.0.conv1.weight", "conv_after_body.weight", "upsample.0.weight"),
        {
            "conv_first": "head", "body.{n}.{conv}": "body.{n}.{conv}", "conv_after_body": "body.last",
            "upsample.{n}": "tail.0.{n}", "conv_last": "tail.1",
        },
        _edsr("conv_first.weight", r"body\.(\d+)\.conv1\.weight"),
        shuffle_scale("upsample.0.weight", "upsample.2.weight"), convert=_basicsr_last,
    ),
    *(
        Layout(
            "rdn", "EDSR-PyTorch", ("SFENet1.weight", "RDBs.0.convs.0.conv.0.weight", f"UPNet.{last}.weight"),
            {
                "SFENet1": "shallow1", "SFENet2": "shallow2", "RDBs.{n}.convs.{c}.conv.0": "blocks.{n}.convs.{c}",
                "RDBs.{n}.LFF": "blocks.{n}.fuse", "GFF.{n}": "fuse.{n}", **ups, f"UPNet.{last}": "up.1",
            },
            sizes(
                features="SFENet1.weight", growth="RDBs.0.convs.0.conv.0.weight", blocks=r"RDBs\.(\d+)\.LFF\.weight",
                convs=r"RDBs\.0\.convs\.(\d+)\.conv\.0\.weight", subtract_mean=False,
            ),
            shuffle_scale("UPNet.0.weight", "UPNet.4.weight"),
        )
        for last, ups in ((4, {"UPNet.0": "up.0.0", "UPNet.2": "up.0.2"}), (2, {"UPNet.0": "up.0.0"}))
    ),
    Layout(
        "rdn", "yjn870/RDN-pytorch",
        ("sfe1.weight", "rdbs.0.layers.0.conv.weight", "upscale.0.weight", "output.weight"),
        {
            "sfe1": "shallow1", "sfe2": "shallow2", "rdbs.{n}.layers.{c}.conv": "blocks.{n}.convs.{c}",
            "rdbs.{n}.lff": "blocks.{n}.fuse", "gff.{n}": "fuse.{n}", "upscale.{n}": "up.0.{n}", "output": "up.1",
        },
        sizes(
            features="sfe1.weight", growth="rdbs.0.layers.0.conv.weight", blocks=r"rdbs\.(\d+)\.lff\.weight",
            convs=r"rdbs\.0\.layers\.(\d+)\.conv\.weight", subtract_mean=False,
        ),
        shuffle_scale("upscale.0.weight", "upscale.2.weight"), convert=_rdn_unit_range,
    ),
    Layout(
        "san", "daitao/SAN", ("head.0.weight", "RG.0.rcab.0.conv_first.0.weight", "non_local.non_local.theta.weight"),
        {
            **_EDSR_UP, "RG.{g}.rcab.{n}.conv_first.0": "groups.{g}.blocks.{n}.conv1",
            "RG.{g}.rcab.{n}.conv_first.2": "groups.{g}.blocks.{n}.conv2",
            "RG.{g}.soca.conv_du.0": "groups.{g}.attention.down", "RG.{g}.soca.conv_du.2": "groups.{g}.attention.up",
            "RG.{g}.conv_last": "groups.{g}.last", "non_local.non_local.theta": "non_local.theta",
            "non_local.non_local.phi.0": "non_local.phi", "non_local.non_local.g.0": "non_local.g",
            "non_local.non_local.W": "non_local.w", "": "",
        },
        sizes(
            features="head.0.weight", groups=r"RG\.(\d+)\.conv_last\.weight",
            blocks=r"RG\.0\.rcab\.(\d+)\.conv_first\.0\.weight",
            reduction=("head.0.weight", "RG.0.soca.conv_du.0.weight"), inner="non_local.non_local.theta.weight",
        ),
        _EDSR_SCALE,
        (*_MEAN_SHIFT, r"conv_last\..*", r"non_local\.soca\..*", r"RG\.\d+\.gamma"), mean_range=_RANGE,
    ),
    Layout(
        "han", "wwlCape/HAN", ("head.0.weight", "body.0.body.0.body.3.conv_du.0.weight", "la.gamma", "csa.conv.weight"),
        {
            **_EDSR_UP, "body.{g}.body.{n}.body.0": "groups.{g}.blocks.{n}.conv1",
            "body.{g}.body.{n}.body.2": "groups.{g}.blocks.{n}.conv2",
            "body.{g}.body.{n}.body.3.conv_du.0": "groups.{g}.blocks.{n}.down",
            "body.{g}.body.{n}.body.3.conv_du.2": "groups.{g}.blocks.{n}.up", "body.{g}.body.{n}": "groups.{g}.last",
            "body.{n}": "after", "la": "layer_attention", "csa": "channel_spatial", "csa.conv": "channel_spatial.conv",
            "last_conv": "layer_fuse", "last": "fuse",
        },
        sizes(
            features="head.0.weight", groups=r"body\.(\d+)\.body\.0\.body\.0\.weight",
            blocks=r"body\.0\.body\.(\d+)\.body\.0\.weight",
            reduction=("head.0.weight", "body.0.body.0.body.3.conv_du.0.weight"),
        ),
        _EDSR_SCALE, _MEAN_SHIFT, _han_order, mean_range=_RANGE,
    ),
    Layout(
        "nlsn", "HarukiYqM/Non-Local-Sparse-Attention",
        ("head.0.weight", "body.0.conv_match.0.weight", "tail.1.weight"),
        {
            **_EDSR_UP, "body.{n}.body.0": "body.{n}.conv1", "body.{n}.body.2": "body.{n}.conv2",
            "body.{n}.conv_match.0": "body.{n}.match", "body.{n}.conv_assembly.0": "body.{n}.value",
            "body.{n}": "body.{n}",
        },
        sizes(features="head.0.weight", blocks=r"body\.(\d+)\.body\.0\.weight",
              reduction=("head.0.weight", "body.0.conv_match.0.weight")),
        _EDSR_SCALE, _MEAN_SHIFT, mean_range=1.0,
    ),
    *(
        Layout(
            "ignn", "sczhou/IGNN", ("head.0.weight", "gcn.weightnet_lr.0.0.weight", *marks),
            {**_IGNN, **tail},
            sizes(features="head.0.weight", blocks=r"(body[12]\.\d+)\.body\.0\.weight"),
            lambda state: 4 if "tail.1.0.weight" in state else shuffle_scale("upsample.0.weight", "")(state),
            _IGNN_UNUSED,
            lambda own, _, __: {**own, "matcher.loaded": own["head.weight"].new_ones(()).bool()},
        )
        for marks, tail in (
            (("tail.1.0.weight",), {"tail.0.0": "tail.0.0", "tail.1.0": "tail.1"}),
            ((), {"tail.0.0": "tail.0"}),
        )
    ),
)  # fmt: skip

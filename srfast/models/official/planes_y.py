"""Layouts of the weights of SRCNN, FSRCNN, DRRN and IDN by their authors, and by widely used ports."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from srfast.models.official.readers import Layout, Options, State, count


def _moved(weight: Tensor, shift: int) -> Tensor:
    """A deconvolution kernel [in, out, k, k] with its taps moved by ``shift`` HR pixels, in a larger one, so that none
    is lost."""
    more = abs(shift)
    return F.pad(weight, (more + shift, more - shift, more + shift, more - shift))


def _idn(state: State) -> Options:
    features, narrow = (state[f"{n}.weight"].shape[0] for n in ("conv1", "conv3_1"))
    return {"features": features, "kept": features - narrow, "blocks": count(state, r"down(\d+)\.weight")}


def _idn_moved(own: State, _: State, scale: int) -> State:
    """Moves a kernel from the authors' centre, the last HR pixel of an LR pixel's block, to ours, its middle."""
    return {**own, "deconv.weight": _moved(own["deconv.weight"], scale - 1 - (scale - 1) // 2)}


def _fsrcnn_moved(own: State, _: State, scale: int) -> State:
    """Moves a kernel from the authors' centre, the first HR pixel of an LR pixel's block, to ours, and repeats
    slopes."""
    own = {**own, "deconv.weight": _moved(own["deconv.weight"], -((scale - 1) // 2))}
    for key, value in own.items():
        before = re.sub(r"\d+", lambda m: str(int(m[0]) - 1), key)
        if value.shape == (1,) and key.startswith("body.") and own[before].ndim == 4:
            own[key] = value.expand(len(own[before])).clone()
    return own


def _fsrcnn_from_caffe(own: State, theirs: State, scale: int) -> State:
    """Transposes kernels, since the authors' Caffe sees images transposed."""
    return _fsrcnn_moved(_transposed(own), theirs, scale)


def _transposed(own: State) -> State:
    return {k: v.transpose(2, 3).contiguous() if v.ndim == 4 else v for k, v in own.items()}


def _fsrcnn(first: str, shrink: str, mapping: str) -> Callable[[State], Options]:
    def options(state: State) -> Options:
        layers = [v for k, v in state.items() if re.fullmatch(mapping, k) and v.ndim == 4 and v.shape[-1] == 3]
        return {"features": state[first].shape[0], "shrunk": state[shrink].shape[0], "mappings": len(layers)}

    return options


def _fsrcnn_expanded(own: State, theirs: State, scale: int) -> State:
    """Names the expanding layer, which comes after the mappings, however many there are."""
    place = 4 + 2 * sum(bool(re.fullmatch(r"map\.\d+\.weight", k)) and v.ndim == 4 for k, v in theirs.items())
    own = {re.sub(r"^expand\.(\d)", lambda m: f"body.{place + int(m[1])}", k): v for k, v in own.items()}
    return _fsrcnn_moved(own, theirs, scale)


def _drrn(units: int, first: str) -> Callable[[State], Options]:
    """Sizes of a port, which leaves normalisation out and does not record the units; each port has a usual number."""

    def options(state: State) -> Options:
        return {"features": state[first].shape[0], "units": units, "normalise": False, "rectified": True}

    return options


def _drrn_caffe(state: State) -> Options:
    return {"features": state["conv1.weight"].shape[0], "units": count(state, r"conv1_(\d+)a\.weight")}


def _drrn_port(own: State, _: State, __: int) -> State:
    return {**own, **{f"{k[:-6]}bias": v.new_zeros(len(v)) for k, v in own.items()}}


def _drrn_from_caffe(own: State, _: State, __: int) -> State:
    """Transposes kernels, since Caffe sees images transposed, and adds the batch counters of PyTorch's
    normalisations."""
    means = {k: v for k, v in own.items() if k.endswith("running_mean")}
    counts = {k.replace("running_mean", "num_batches_tracked"): v.new_zeros(()).long() for k, v in means.items()}
    return {**_transposed(own), **counts}


def _srcnn(*names: str) -> Callable[[State], Options]:
    return lambda state: {"kernels": [state[f"{n}.weight"].shape[-1] for n in names]}


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
        _fsrcnn("conv1.weight", "conv2.weight", r"conv2\d+\.weight"), convert=_fsrcnn_from_caffe,
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
        _drrn_caffe, unused=(r"conv1_\d+[ab]\.(weight|bias)",), convert=_drrn_from_caffe,
    ),
    Layout(
        "drrn", "jt827859032/DRRN-pytorch", ("input.weight", "conv1.weight", "conv2.weight", "output.weight"),
        {"input": "first.1", "conv1": "conv_a", "conv2": "conv_b", "output": "last.1"},
        _drrn(25, "input.weight"), convert=_drrn_port, single_unit=True,
    ),
    Layout(
        "drrn", "yjn870/DRRN-pytorch", ("rbs.0.h0.module.1.weight", "rec.module.1.weight"),
        {
            "rbs.0.h0.module.1": "first.1", "rbs.0.ru.module.0.module.1": "conv_a",
            "rbs.0.ru.module.1.module.1": "conv_b", "rec.module.1": "last.1",
        },
        _drrn(9, "rbs.0.h0.module.1.weight"), convert=_drrn_port, single_unit=True,
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
        _idn, convert=_idn_moved,
    ),
)  # fmt: skip

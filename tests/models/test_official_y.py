"""Networks of Y as their authors and ports publish them, in files of PyTorch, Caffe and MATLAB."""

import struct

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srfast import models
from srfast.errors import InputError
from srfast.models.loading import initial_weights, load_model
from srfast.ops import reference

State = dict[str, Tensor]


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
    whole = F.conv_transpose2d(F.pad(x, (4,) * 4, mode="replicate"), deconv, stride=scale)
    h, w = (scale * n for n in lr.shape[2:])
    first = scale * 4 + 4
    return whole[..., first : first + h, first : first + w]


def fsrcnn_in_names(parts: list[tuple[str, Tensor]], deconv: Tensor, modules: list[str], last: str) -> State:
    state: State = {}
    for name, (kind, value) in zip(modules, parts, strict=True):
        state[f"{name}.weight"] = value
        if kind == "conv":
            state[f"{name}.bias"] = torch.zeros(len(value))
    return {**state, f"{last}.weight": deconv, f"{last}.bias": torch.zeros(1)}


FSRCNN_NAMES = {
    "yjn870": """first_part.0 first_part.1 mid_part.0 mid_part.1 mid_part.2 mid_part.3 mid_part.4 mid_part.5 mid_part.6
        mid_part.7 last_part""",
    "Lornatang": """feature_extraction.0 feature_extraction.1 shrink.0 shrink.1 map.0 map.1 map.2 map.3 expand.0
        expand.1 deconv""",
    "Caffe": "conv1 relu1 conv2 relu2 conv22 relu22 conv23 relu23 conv24 relu24 conv3",
}


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("source", list(FSRCNN_NAMES))
def test_fsrcnn_keeps_the_authors_alignment(source, scale, tmp_path, opens_as):
    parts, deconv = fsrcnn_state(scale, shared=source == "Caffe")
    *modules, last = FSRCNN_NAMES[source].split()
    state = fsrcnn_in_names(parts, deconv, modules, last)
    if source == "Caffe":  # sees images transposed
        state = {k: v.transpose(2, 3) if v.ndim == 4 else v for k, v in state.items()}
    network = opens_as(state, lambda lr: fsrcnn_reference(parts, deconv, lr, scale), f"fsrcnn_x{scale}.pth")
    assert (network.name, network.scale, network.color) == ("fsrcnn", scale, "y")
    # Into a network of the usual size goes what fits around its centre.
    fitting = initial_weights(tmp_path / f"fsrcnn_x{scale}.pth", "fsrcnn", scale)["deconv.weight"]
    assert fitting.shape == (8, 1, 9, 9)
    larger = initial_weights(tmp_path / f"fsrcnn_x{scale}.pth", "fsrcnn", scale, {"kernel": 11})["deconv.weight"]
    assert larger.shape[-1] == (9 if scale == 2 else 11)
    shift = (scale - 1) // 2
    assert torch.equal(fitting[..., : 9 - shift, : 9 - shift], state[f"{last}.weight"][..., shift:, shift:]) or (
        source == "Caffe"
    )


IDN_NAMES = """conv1=extract.0.0 conv2=extract.1.0 down1=blocks.0.compress.0 down2=blocks.1.compress.0
    conv3_1=blocks.0.above.0.0 conv3_2=blocks.0.above.1.0 conv3_3=blocks.0.above.2.0
    conv3_4=blocks.0.below.0.0 conv3_5=blocks.0.below.1.0 conv3_6=blocks.0.below.2.0
    conv4_1=blocks.1.above.0.0 conv4_2=blocks.1.above.1.0 conv4_3=blocks.1.above.2.0
    conv4_4=blocks.1.below.0.0 conv4_5=blocks.1.below.1.0 conv4_6=blocks.1.below.2.0"""


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_idn_of_caffe_keeps_its_alignment(scale, tmp_path, noisy, renamed):
    """(n - 1) s + 1 pixels, added to the bicubic image without its first s - 1 rows and columns."""
    own = noisy(models.create("idn", scale, features=16, kept=4, blocks=2))
    kernel = torch.randn(16, 1, 17, 17) / 30
    path = tmp_path / f"IDN_x{scale}.caffemodel"
    upsample = {"upsample.weight": kernel, "upsample.bias": torch.full((1,), 0.1)}
    path.write_bytes(caffemodel(renamed(own, [n.split("=") for n in IDN_NAMES.split()]) | upsample))
    network = load_model(path)
    assert (network.name, network.scale) == ("idn", scale)
    lr = torch.rand(1, 1, 12, 11)
    with torch.no_grad():
        residual = F.conv_transpose2d(own.blocks(own.extract(lr)), kernel, torch.full((1,), 0.1), scale, padding=8)
        expected = reference.resample(lr, scale)[..., scale - 1 :, scale - 1 :] + residual
        got = network.model(lr)[..., scale - 1 :, scale - 1 :]
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


def test_caffe_files_of_both_ages_and_normalisations(tmp_path):
    from srfast.models.official.readers import load_caffemodel

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


def claiming(dims: list[int]) -> bytes:
    """A layer of such dimensions, and 8 bytes of data."""
    shape = b"".join(varint(8) + varint(d) for d in dims)
    return field(100, field(1, b"conv1") + field(7, field(7, shape) + field(5, b"\0" * 8)))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"garbage" * 40, struct.pack("<I", 1 << 31), caffemodel({"a.b": torch.ones(9)})[:30],
        *map(claiming, ([2**62, 4], [2**63, 2], [0], [2**32, 2**32], [3])),
    ],
)  # fmt: skip
def test_damaged_caffe_files_are_refused(data, tmp_path, refused):
    (tmp_path / "bad.caffemodel").write_bytes(data)
    refused(r"bad\.caffemodel: expected a Caffe model", models.load, tmp_path / "bad.caffemodel")


def test_drrn_of_caffe(noisy, opens_as):
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
    opens_as(caffemodel({k: v.detach() for k, v in state.items()}), own, "DRRN_x3.caffemodel", 1e-4)


@pytest.mark.parametrize(
    ("names", "file", "units"),
    [
        (("input", "conv1", "conv2", "output"), "drrn_x2.pth", 25),
        (("rbs.0.h0.module.1", "rbs.0.ru.module.0.module.1", "rbs.0.ru.module.1.module.1", "rec.module.1"),
         "DRRN_B1U5_x2.pth", 5),
    ],
)  # fmt: skip
def test_drrn_of_the_ports(names, file, units, opens_as):
    """No normalisation, no biases, and a ReLU in place: the skip is the rectified first features."""
    shapes = ((6, 1), (6, 6), (6, 6), (1, 6))
    first, a, b, last = weights = [torch.randn(*s, 3, 3) / (3 * s[1] ** 0.5) / 2 for s in shapes]

    def theirs(lr: Tensor) -> Tensor:
        y = reference.resample(lr, 2)
        skip = x = F.conv2d(y.relu(), first, padding=1).relu()
        for _ in range(units):
            x = F.conv2d(F.conv2d(x.relu(), a, padding=1).relu(), b, padding=1) + skip
        return y + F.conv2d(x.relu(), last, padding=1)

    opens_as({f"{n}.weight": w for n, w in zip(names, weights, strict=True)}, theirs, file, 1e-4)


@pytest.mark.parametrize("kernels", [(9, 1, 5), (9, 3, 5), (9, 5, 5)])
@pytest.mark.parametrize("names", [("conv1", "conv2", "conv3"), ("features.0", "map.0", "reconstruction")])
def test_srcnn_of_every_size(names, kernels, tmp_path, noisy, renamed, refused):
    own = noisy(models.create("srcnn", 3, kernels=kernels))
    torch.save(renamed(own, zip(names, ("conv1", "conv2", "conv3"), strict=True)), tmp_path / "net.pth")
    lr = torch.rand(1, 1, 9, 8)
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "net.pth", 3).model(lr), own(lr))
    refused(r"scale: .*srcnn.*name the file", load_model, tmp_path / "net.pth")
    (tmp_path / "x3").mkdir()
    (tmp_path / "net.pth").rename(tmp_path / "x3" / "net.pth")
    assert load_model(tmp_path / "x3" / "net.pth").scale == 3
    with pytest.raises(InputError, match=r"scale: .*says x3"):
        load_model(tmp_path / "x3" / "net.pth", 2)


def test_srcnn_and_fsrcnn_of_matlab(tmp_path, noisy, opens_as):
    io = pytest.importorskip("scipy.io")
    own = noisy(models.create("srcnn", 2, kernels=(9, 3, 5)))
    w = [own.get_submodule(f"conv{i}").weight.detach().numpy() for i in (1, 2, 3)]
    b = {f"biases_conv{i}": own.get_submodule(f"conv{i}").bias.detach().numpy()[:, None] for i in (1, 2, 3)}
    columns = [x.transpose(1, 3, 2, 0).reshape(x.shape[1], -1, len(x)) for x in w]  # [in, k * k column by column, out]
    values = {"weights_conv1": columns[0][0], "weights_conv2": columns[1], "weights_conv3": columns[2][:, :, 0]}
    io.savemat(tmp_path / "x2.mat", {**values, **b})
    opens_as((tmp_path / "x2.mat").read_bytes(), own, "x2.mat", 1e-6)

    parts, deconv = fsrcnn_state(3, shared=True)
    cells = [np.empty(n, object) for n in (len(parts) // 2 + 1, len(parts) // 2 + 1, len(parts) // 2)]
    for i, (_, weight) in enumerate([*parts[::2], ("conv", deconv)]):
        x = weight.numpy()
        cells[0][i] = x.transpose(1, 3, 2, 0).reshape(x.shape[1], -1, len(x))
        cells[1][i] = np.zeros(1 if weight is deconv else len(x))
    for i, (_, slope) in enumerate(parts[1::2]):
        cells[2][i] = slope.numpy()
    io.savemat(tmp_path / "x3.mat", dict(zip(("weights_conv", "biases_conv", "prelu_conv"), cells, strict=True)))
    opens_as((tmp_path / "x3.mat").read_bytes(), lambda lr: fsrcnn_reference(parts, deconv, lr, 3), "x3.mat")
    (tmp_path / "x4.mat").write_bytes(b"MATLAB 5.0 not")
    with pytest.raises(InputError, match=r"x4\.mat"):
        models.load(tmp_path / "x4.mat")

"""LPIPS and DISTS with stand-in trunks and heads, against the published definitions in float64."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import srfast
from srfast.errors import InputError, RunError
from srfast.evaluation import perceptual
from srfast.evaluation.perceptual import Measure
from srfast.evaluation.settings import MEASURES

torchvision = pytest.importorskip("torchvision")
CHANNELS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
AFTER = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}
"""The ReLU in torchvision's ``features`` whose output is compared."""


@pytest.fixture(scope="module")
def trunks(tmp_path_factory):
    """torchvision's networks with random weights."""
    folder = tmp_path_factory.mktemp("trunks")
    torch.manual_seed(0)
    for name, file in (("alexnet", "alexnet-0.pth"), ("vgg16", "vgg16-0.pth")):
        with torch.device("meta"):
            features = getattr(torchvision.models, name)(weights=None).features
        features = features.to_empty(device="cpu")
        for layer in features:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.normal_(layer.bias, std=0.1)
        torch.save({f"features.{k}": v for k, v in features.state_dict().items()}, folder / file)
    return folder


@pytest.fixture
def heads(tmp_path, monkeypatch):
    """Heads of the published shapes, where torchmetrics has them."""
    draw = torch.Generator().manual_seed(1)
    (tmp_path / "lpips_models").mkdir()
    (tmp_path / "dists_models").mkdir()
    for net, channels in CHANNELS.items():
        own = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1, generator=draw) for i, c in enumerate(channels)}
        torch.save(own, tmp_path / "lpips_models" / f"{net}.pth")
    shape = (1, 3 + sum(CHANNELS["vgg"]), 1, 1)
    both = {k: torch.rand(shape, generator=draw) for k in ("alpha", "beta")}
    torch.save(both, tmp_path / "dists_models" / "weights.pt")
    monkeypatch.setattr(perceptual, "_heads_folder", lambda: tmp_path)
    return tmp_path


def features_of(trunks, net, x, pool=None):
    features = getattr(torchvision.models, {"alex": "alexnet", "vgg": "vgg16"}[net])(weights=None).features.double()
    state = torch.load(next(trunks.glob(f"{net}*")))
    features.load_state_dict({k.removeprefix("features."): v.double() for k, v in state.items()})
    taps = []
    for i, layer in enumerate(features[: AFTER[net][-1] + 1]):
        x = pool(x) if pool and isinstance(layer, nn.MaxPool2d) else layer(x)
        taps += [x.clone()] if i in AFTER[net] else []
    return [f.detach() for f in taps]


def lpips(trunks, heads, net, a, b):
    """Zhang et al. (2018), eq. 1, on images [1, 3, h, w] in [0, 1], as their version 0.1 scales them."""
    shift, spread = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in
                     ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))  # fmt: skip
    head = torch.load(heads / "lpips_models" / f"{net}.pth")
    total = 0.0
    fa, fb = (features_of(trunks, net, (2 * x - 1 - shift) / spread) for x in (a, b))
    for i, (x, y) in enumerate(zip(fa, fb, strict=True)):
        x, y = (f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10) for f in (x, y))
        weight = head[f"lin{i}.model.1.weight"].double()[0, :, 0, 0]
        total += float(((x - y).square() * weight[:, None, None]).sum(1).mean())
    return total


def dists(trunks, heads, a, b):
    """Ding et al. (2020), eq. 5 to 9, with the L2 pooling of eq. 3 by a Hanning window."""
    window = np.hanning(5)[1:-1]
    kernel = torch.from_numpy(np.outer(window, window) / window.sum() ** 2)

    def pool(x):
        square = F.conv2d(x.square(), kernel.expand(x.shape[1], 1, 3, 3), stride=2, padding=1, groups=x.shape[1])
        return (square + 1e-12).sqrt()

    mean, spread = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in
                    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))  # fmt: skip
    head = torch.load(heads / "dists_models" / "weights.pt")
    alpha, beta = (head[k].double().flatten() for k in ("alpha", "beta"))
    whole, at, similar = float(alpha.sum() + beta.sum()), 0, 0.0
    fa, fb = ([x, *features_of(trunks, "vgg", (x - mean) / spread, pool)] for x in (a, b))
    for x, y in zip(fa, fb, strict=True):
        for c in range(x.shape[1]):
            p, q = x[0, c].numpy(), y[0, c].numpy()
            covariance = (p * q).mean() - p.mean() * q.mean()
            texture = (2 * p.mean() * q.mean() + 1e-6) / (p.mean() ** 2 + q.mean() ** 2 + 1e-6)
            structure = (2 * covariance + 1e-6) / (p.var() + q.var() + 1e-6)
            similar += float(alpha[at]) * texture + float(beta[at]) * structure
            at += 1
    return 1 - similar / whole


def photographs(h=41, w=52):
    draw = np.random.default_rng(0)
    field = draw.normal(size=(h, w, 3)).cumsum(0).cumsum(1)
    hr = np.uint8((field - field.min()) / np.ptp(field) * 255)
    return np.clip(hr + draw.normal(0, 12, hr.shape), 0, 255).astype(np.uint8), hr


@pytest.mark.parametrize("name", MEASURES)
def test_against_the_definition_in_float64(trunks, heads, name):
    """Features in float32 are off by 1e-6 of their size; twenty layers and differences of features make it 1e-4."""
    sr, hr = photographs()
    measure = Measure(name, trunks, "cpu")
    a, b = (torch.from_numpy(x[2:-2, 2:-2]).permute(2, 0, 1)[None].double() / 255 for x in (sr, hr))
    net = "alex" if name == "lpips" else "vgg"
    want = dists(trunks, heads, a, b) if name == "dists" else lpips(trunks, heads, net, a, b)
    assert want > 1e-3
    assert measure(sr, hr, 2) == pytest.approx(want, rel=1e-4)
    assert measure(hr, hr, 2) == pytest.approx(0, abs=1e-9)
    assert measure(sr, hr, 0) != pytest.approx(want, rel=1e-3)  # the border counts unless it is left out


@pytest.mark.parametrize(("name", "package"), [("lpips", "lpips"), ("dists", "DISTS_pytorch")])
def test_heads_of_torchmetrics_are_the_authors(name, package):
    if importlib.util.find_spec("torchmetrics") is None:
        pytest.skip("torchmetrics is not installed")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    ours = torch.load(perceptual._heads_folder() / perceptual.HEADS[name], map_location="cpu")
    folder = Path(spec.submodule_search_locations[0])
    theirs = torch.load(folder / ("weights/v0.1/alex.pth" if name == "lpips" else "weights.pt"), map_location="cpu")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k].flatten(), theirs[k].flatten()) for k in ours)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(photographs(40 + i, 44)[0]).save(folder / f"{i}.png")
    return folder


def test_evaluations_have_them_and_compare_takes_them(trunks, heads, pictures, tmp_path, run):
    class Blurred(nn.Module):
        color = "rgb"
        scale = 2

        def forward(self, lr):
            return F.interpolate(lr, scale_factor=2, mode="bilinear")

    kept = []
    how = {"scale": 2, "protocol": "rgb", "trunks": trunks}
    a = srfast.evaluate(Blurred(), pictures, measures="lpips,dists", inspect=lambda n, s, h: kept.append((s, h)), **how)
    b = srfast.evaluate("bicubic", pictures, measures=["lpips", "dists"], **how)
    wanted = Measure("lpips", trunks, "cpu")
    assert [i.measures["lpips"] for i in a.images] == [wanted(sr, hr, 2) for sr, hr in kept]
    content = json.loads(json.dumps(a.to_dict()))
    about = content["measures"]["lpips"]
    said = ("LPIPS 0.1, AlexNet", "RGB in [-1, 1]", "2 pixels at each side are left out")
    assert (about["variant"], about["range"], about["crop"]) == said
    assert {len(v) for v in about["sha256"].values()} == {64}
    assert about["sha256"].keys() == {"alexnet-0.pth", "alex.pth"}
    assert about["mean"] == pytest.approx(np.mean([i["lpips"] for i in content["images"]]))
    assert "lpips" in str(a)
    contest = srfast.compare({"a": a, "b": b}, "lpips")
    means = {n: e.measures["lpips"]["mean"] for n, e in (("a", a), ("b", b))}
    assert contest.rows[0].name == min(means, key=lambda n: means[n])

    file = tmp_path / "b.json"
    args = ["eval", "bicubic", "--data", str(pictures), "--protocol", "rgb", "--trunks", str(trunks)]
    code, out, _ = run(*args, "--measures", "lpips", "--json", file)
    assert (code, "lpips" in out) == (0, True)
    assert srfast.compare({"a": a, "b": file}, "lpips").rows
    other = json.loads(file.read_text())
    other["measures"]["lpips"]["sha256"]["alexnet-0.pth"] = "0" * 64
    file.write_text(json.dumps(other))
    with pytest.raises(InputError, match=r"b\.json: expected measure LPIPS 0\.1, AlexNet .*, got .* 000000000000"):
        srfast.compare({"a": a, "b": file}, "lpips")
    assert srfast.compare({"a": a, "b": file}, "psnr").rows


@pytest.mark.parametrize(
    ("measures", "changes", "message"),
    [
        ("lpips", {"protocol": "classic"}, r"^measures: need `protocol` rgb, got classic"),
        ("niqe", {}, r"^measures: expected some of lpips, lpips-vgg, dists, each once.*got 'niqe'"),
        ("", {}, r"^trunks: needs `measures`"),
        ("dists", {"trunks": "."}, r"^trunks: expected torchvision's vgg16-\*\.pth in .* for dists, got none"),
    ],
)
def test_what_does_not_go_together(measures, changes, message, trunks, heads, pictures, refused):
    how = {"scale": 2, "protocol": "rgb", "trunks": trunks, **({"measures": measures} if measures else {}), **changes}
    refused(message, srfast.evaluate, "bicubic", pictures, **how)


def test_what_is_wrong_is_named(trunks, heads, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"expected torchvision's alexnet-.*, got other sizes of kernels"):
        Measure("lpips", _other_kernels(tmp_path, trunks), "cpu")
    with pytest.raises(InputError, match=r"expected torchvision's vgg16-.*, got no tensor 'features\.2\.weight'"):
        Measure("dists", trunks / "alexnet-0.pth", "cpu")
    small = photographs(36, 35)[0]
    with pytest.raises(InputError, match=r"^measures: expected images of at least 36 pixels a side, got 35 x 36"):
        Measure("lpips", trunks, "cpu")(small, small, 2)
    monkeypatch.undo()
    monkeypatch.setattr(perceptual, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"^measures: needs torchmetrics, which is not installed; pip install"):
        Measure("lpips", trunks, "cpu")


def _other_kernels(folder, trunks):
    state = torch.load(trunks / "alexnet-0.pth")
    state["features.3.weight"] = state["features.3.weight"][..., 1:-1, 1:-1]
    torch.save(state, folder / "alexnet-1.pth")
    return folder / "alexnet-1.pth"

"""Every model of the registry: size, shape, alignment, context, training."""

import contextlib
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srfast import models
from srfast.errors import InputError, RunError
from srfast.models.tiling import Descriptor
from srfast.ops import reference

FOREIGN = ("swinir", "swinir_light", "rcan", "hat", "compact", "span", "realplksr")
CONVOLUTIONAL = ("srcnn", "fsrcnn", "drrn", "idn", "edsr_baseline", "edsr", "rdn")

PUBLISHED = {
    "srcnn": ((8129, 8129, 8129), (5, 1)),
    "fsrcnn": ((12809, 12809, 12809), (8, 1)),
    "drrn": ((297601, 297601, 297601), (28, 1)),
    "idn": ((552769, 552769, 552769), (30, 1)),
    "edsr_baseline": ((1369859, 1554499, 1517571), (36, 1)),
    "edsr": ((40729603, 43680003, 43089923), (68, 1)),
    "rdn": ((22123395, 22308035, 22271107), (133, 1)),
    "swinir": ((11752487, 11937127, 11900199), (160, 8)),
    "swinir_light": ((910152, 918267, 929628), (104, 8)),
    "rcan": ((15444667, 15629307, 15592379), None),
    "hat": ((20624795, 20809435, 20772507), None),
    "compact": ((600652, 609307, 621424), (18, 1)),
    "span": ((2221140, 2227635, 2236728), (21, 1)),
    "realplksr": ((7368908, 7377563, 7389680), None),
    "san": ((15712800, 15897440, 15860512), None),
    "han": ((15924033, 16108673, 16071745), None),
    "nlsn": ((41796163, 44746563, 44156483), None),
}
"""Parameters at x2, x3 and x4, by the authors' code or papers; srcnn, fsrcnn and drrn's convolutions by hand as well.
LR pixels of context at x2, where HR pixels are largest in LR pixels, and the grid that exact tiles start on."""
# What a published count has more (+) or less (-) than the network here.
DIFFERENCE = {
    # The normalisations' scales and shifts: 1 channel before the first convolution, 50 x 128 in the units, 128 last.
    "drrn": -2 * (1 + 50 * 128 + 128),
    # Of the authors' module, unused in its output: a 3x3 convolution, a SOCA with reduction 8, one gamma a
    # group; and the two mean shifts, 3 x 3 weights and 3 biases each.
    "san": (9 * 64 * 64 + 64) + (64 * 8 + 8 + 8 * 64 + 64) + 20 + 2 * (3 * 3 + 3),
}


def images(name: str, *shape: int) -> Tensor:
    return torch.rand(shape[0], 1 if models.describe(name).color == "y" else 3, *shape[1:])


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", list(PUBLISHED))
def test_parameter_count_is_the_published_one(name, scale):
    description = models.describe(name)
    if description.extra:
        pytest.importorskip("spandrel", reason="spandrel is not installed")
    with contextlib.nullcontext() if description.extra else torch.device("meta"):
        model = models.create(name, scale)
    count = sum(p.numel() for p in model.parameters())
    counts, tiles = PUBLISHED[name]
    assert count + DIFFERENCE.get(name, 0) == counts[scale - 2]
    network = Descriptor.of(model, scale, name)
    if tiles is None:
        assert network.receptive is None
    elif scale == 2:
        assert (network.receptive, network.multiple) == tiles
    else:
        assert network.receptive <= tiles[0]
    assert network.color == description.color


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 3), (9, 13)])
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", models.names())
def test_any_size_gives_scale_times_the_size(name, scale, size, tiny):
    model = tiny(name, scale).eval()
    lr = images(name, 2, *size)
    before = lr.clone()
    with torch.no_grad():
        sr = model(lr)
    assert sr.shape == (2, lr.shape[1], scale * size[0], scale * size[1])
    assert torch.isfinite(sr).all()
    assert torch.equal(lr, before), "the input was changed in place"


@pytest.mark.parametrize("name", models.names())
def test_every_parameter_gets_a_gradient(name, tiny):
    """As DDP needs; that each model learns is tests/training/test_recipes.py's."""
    model = tiny(name).train()
    lr = images(name, 2, 8, 8)
    F.l1_loss(model(lr), reference.resample(lr, 2).clamp(0, 1) ** 1.5).backward()
    for key, p in model.named_parameters():
        assert not p.requires_grad or (p.grad is not None and torch.isfinite(p.grad).all()), key


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_context_is_as_wide_as_stated_and_no_wider(name, scale, tiny):
    """Gradients of one LR pixel's block reach ``receptive`` pixels on some side, and not one more on any."""
    model = tiny(name, scale).double().eval()
    r = model.receptive
    c = r + 2
    lr = images(name, 1, 2 * c + 1, 2 * c + 1).double().requires_grad_()
    block = model(lr)[..., scale * c : scale * (c + 1), scale * c : scale * (c + 1)]
    (grad,) = torch.autograd.grad((block * torch.rand_like(block)).sum(), lr)
    for dim in (2, 3):
        touched = grad.abs().amax([d for d in range(4) if d != dim]).nonzero().flatten() - c
        assert max(-touched.min().item(), touched.max().item()) == r


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_fsrcnn_can_be_bilinear_up_to_the_border(scale):
    """With the triangle kernel, around LR pixel centres, the deconvolution must be bilinear up-sampling."""
    model = models.create("fsrcnn", scale, features=1, shrunk=1, mappings=0).double()
    model.body = nn.Identity()
    kernel = _kernel(scale, 9, lambda x: (1 - x.abs()).clamp_min(0))
    model.deconv.weight.data[0, 0] = kernel
    lr = torch.rand(1, 1, 5, 6, dtype=torch.float64)
    expected = F.interpolate(lr, scale_factor=scale, mode="bilinear", align_corners=False)
    torch.testing.assert_close(model(lr), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_idn_can_be_bicubic(scale):
    """Seventeen taps hold the cubic kernel at every scale, but only where they are centred rightly."""
    model = models.create("idn", scale, features=16, kept=4, blocks=1).double()
    model.extract = nn.Conv2d(1, 16, 1, bias=False).double()
    model.blocks = nn.Identity()
    model.extract.weight.data.zero_()[0] = 1
    model.deconv.weight.data.zero_()[0, 0] = _kernel(scale, 17, reference.cubic)
    lr = torch.rand(1, 1, 9, 8, dtype=torch.float64)
    inside = (..., slice(2 * scale, -2 * scale), slice(2 * scale, -2 * scale))
    expected = 2 * reference.resample(lr, scale)
    torch.testing.assert_close(model(lr)[inside], expected[inside], rtol=0, atol=1e-12)


def _kernel(scale: int, taps: int, function) -> Tensor:
    """An interpolation kernel at HR pixels around an LR centre, tap taps // 2 on pixel (scale - 1) // 2."""
    distance = torch.arange(taps) - taps // 2 + (scale - 1) // 2 - (scale - 1) / 2
    line = function(distance.double() / scale)
    return line[:, None] * line


@pytest.mark.parametrize("name", ["srcnn", "drrn", "idn"])
def test_bicubic_inside_a_model_ignores_autocast(name, tiny):
    """bfloat16 would be off by up to 2e-3 at 0.5; the network's own part is put to zero."""
    model = tiny(name).eval()
    lr = images(name, 1, 6, 7)
    if name == "srcnn":
        model.enhance = lambda up: up
    else:
        last = model.last[1] if name == "drrn" else model.deconv
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        sr = model(lr)
    torch.testing.assert_close(sr, reference.resample(lr, 2), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", models.names())
def test_autocast_and_channels_last_run_and_hardly_change_the_result(name, tiny):
    model = tiny(name).eval()
    lr = images(name, 2, 9, 7)
    with torch.no_grad():
        expected = model(lr)
    if name != "han":  # PyTorch refuses the format for modules with a Conv3d
        model.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sr = model(lr.contiguous(memory_format=torch.channels_last))
    if name != "realplksr":  # it writes in place in evaluation mode, which no gradient passes
        sr.float().mean().backward()
    # Eight bits of mantissa through tens of layers, against the spread of an untrained network's output.
    assert (sr.float() - expected).abs().mean() < 0.05 * (expected.std() + 0.1)


def test_foreign_is_the_network_itself_where_that_is_defined(tiny):
    pytest.importorskip("spandrel", reason="spandrel is not installed")
    for name in FOREIGN:
        model = tiny(name).eval()
        lr = images(name, 1, 9, 10)
        with torch.no_grad():
            torch.testing.assert_close(model(lr), model.net(lr.clone()), rtol=0, atol=1e-6)


def test_names_are_taken_in_any_case():
    assert models.describe("EDSR-baseline").name == models.describe("Edsr_Baseline").name == "edsr_baseline"
    assert type(models.create("FSRCNN", 3)) is type(models.create("fsrcnn", 3))
    assert models.create("SRCNN", pretrained=True).conv1.weight.abs().max() > 0


def test_a_module_says_what_running_it_takes():
    class Own(nn.Module):
        color, receptive, multiple = "y", 3, 2

    network = Descriptor.of(Own(), 2)
    assert (network.name, network.channels, network.receptive, network.multiple) == ("Own", 1, 3, 2)
    network = Descriptor.of(nn.Conv2d(3, 3, 1), 4)
    assert (network.color, network.channels, network.receptive, network.multiple) == ("rgb", 3, None, 1)
    with pytest.raises(InputError, match="attribute color"):
        Descriptor.of(nn.Conv2d(4, 3, 1), 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.create("vdsr"), r"model: expected one of srcnn, .*, ignn, or FILE.py:NAME, got 'vdsr'"),
        (lambda: models.create(3), r"model: expected a name, .*, got 3"),
        (lambda: models.create("rdn", 8), "scale: expected 1, 2, 3 or 4, got 8"),
        (lambda: models.create("srcnn", [2, 3]), "scale: expected 1, 2, 3 or 4"),
        (lambda: models.create("rdn", pretrained=True), "weights ship for srcnn only, not for rdn"),
        (lambda: models.create("idn", depth=3), "idn: .*unexpected.* 'depth'"),
        (lambda: models.create("swinir_light", depth=3), "swinir_light: .*unexpected.* 'depth'"),
        (lambda: models.load(None), "path: expected the path of a weights file, got None"),
    ],
)
def test_wrong_requests_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_spandrel_is_imported_where_it_is_used_and_missed_by_name(monkeypatch):
    program = "import sys, srfast.models as m; m.create('fsrcnn'); sys.exit('spandrel' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    for architecture in ("SwinIR", "RCAN", "HAT", "Compact", "SPAN", "PLKSR"):
        monkeypatch.setitem(sys.modules, f"spandrel.architectures.{architecture}", None)
    for name in FOREIGN:
        with pytest.raises(RunError, match=r"needs spandrel.*pip install 'srfast\[train\]'"):
            models.create(name)

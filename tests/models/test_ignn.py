"""The parts of IGNN against their definitions, written out; its matcher, which comes in a file of its own."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from srfast import models
from srfast.errors import RunError
from srfast.models import ignn

F64 = torch.float64


@pytest.mark.parametrize("unit", [1, 2, 3])
@pytest.mark.parametrize("size", [(3, 3), (4, 7), (8, 5)])
def test_ignn_fold_inverts_unfold(size, unit):
    x = torch.randn(2, 3, size[0] * unit, size[1] * unit, dtype=F64)
    patches = ignn.unfold(x, size, unit)
    rows, cols = ignn.patch_grid(size)
    assert patches.shape == (2, 3 * 9 * unit**2, rows * cols)
    torch.testing.assert_close(ignn.fold(patches, size, unit), x, rtol=0, atol=1e-14)


def _padded(x: Tensor, size: tuple[int, int], unit: int) -> tuple[Tensor, int, int]:
    """A map of ``size`` * ``unit`` pixels, zero-padded for patches of 3 every 2; their rows and columns."""
    down, right = ((n + 1) % 2 for n in size)  # one pixel, at the bottom or the right, when the size is even
    padded = F.pad(x, (0, right * unit, 0, down * unit))
    return padded, (size[0] + down - 1) // 2, (size[1] + right - 1) // 2


@pytest.mark.parametrize(("scale", "window"), [(2, 100), (2, 3), (2, 4), (3, 2), (3, 3), (3, 5)])
@pytest.mark.parametrize("odd", [(0, 0), (1, 1)])
def test_ignn_neighbours_written_out(scale, window, odd):
    k = 4
    query = torch.randn(2, 3, 10 * scale + odd[0], 9 * scale + odd[1], dtype=F64)
    database = torch.randn(2, 3, 10, 9, dtype=F64)  # 5 x 4 patches
    index, labels = ignn.nearest(query, database, scale, k, window)
    large, rows, cols = _padded(query, (query.shape[2], query.shape[3]), 1)
    small, small_rows, small_cols = _padded(database, (10, 9), 1)
    assert index.shape == (2, k, rows * cols)
    # A square, unless it covers the image.
    square = min(window, small_rows, small_cols)
    high, wide = (small_rows, small_cols) if window >= max(small_rows, small_cols) else (square, square)
    for n in range(2):
        for i in range(rows):
            for j in range(cols):
                patch = large[n, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
                top = min(max(i // 2 - high // scale, 0), small_rows - high)
                left = min(max(j // 2 - wide // scale, 0), small_cols - wide)
                differences = {
                    a * small_cols + b: patch - small[n, :, 2 * a : 2 * a + 3, 2 * b : 2 * b + 3]
                    for a in range(top, top + high)
                    for b in range(left, left + wide)
                }
                best = sorted(differences, key=lambda p: differences[p].square().sum().item())[:k]
                m = i * cols + j
                assert index[n, :, m].tolist() == best
                expected = torch.stack([differences[p].abs().sum((1, 2)) for p in best])
                torch.testing.assert_close(labels[n, :, :, m], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("odd", [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize("size", [(4, 5), (3, 6)])
def test_ignn_aggregation_written_out(size, odd, scale):
    """Every patch of the LR map becomes a larger one from elsewhere; overlaps are averaged."""
    h, w = size[0] * scale + odd[0], size[1] * scale + odd[1]
    x = torch.randn(2, 3, h, w, dtype=F64)
    own, rows, cols = _padded(x, (h, w), 1)
    source, small_rows, small_cols = _padded(x[..., : size[0] * scale, : size[1] * scale], size, scale)
    index = torch.randint(small_rows * small_cols, (2, rows * cols))
    total = torch.zeros(2, 3, own.shape[2] * scale, own.shape[3] * scale, dtype=F64)
    count = torch.zeros_like(total)
    side = 3 * scale
    for n in range(2):
        for i in range(rows):
            for j in range(cols):
                a, b = divmod(index[n, i * cols + j].item(), small_cols)
                a, b, y0, x0 = (2 * scale * v for v in (a, b, i, j))
                large = source[n, :, a : a + side, b : b + side]
                patch = own[n, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
                large = (large - large.mean((1, 2), keepdim=True)) / (large.var((1, 2), keepdim=True) + 1e-5).sqrt()
                large = large * (patch.var((1, 2), keepdim=True) + 1e-5).sqrt() + patch.mean((1, 2), keepdim=True)
                total[n, :, y0 : y0 + side, x0 : x0 + side] += large
                count[n, :, y0 : y0 + side, x0 : x0 + side] += 1
    expected = (total / count)[..., : scale * h, : scale * w]
    torch.testing.assert_close(ignn.aggregate(x, index, scale), expected, rtol=0, atol=1e-12)


def test_ignn_aggregation_module_sums_neighbours_with_softmax_weights():
    module = ignn.GraphAggregation(4, 2).double()
    x = torch.randn(1, 4, 8, 6, dtype=F64)
    query, database = torch.randn(1, 64, 8, 6, dtype=F64), torch.randn(1, 64, 4, 3, dtype=F64)
    index, labels = ignn.nearest(query, database, 2, 2, 30)
    lr, hr = module(x, index, labels)
    maps = [ignn.aggregate(x, index[:, r], 2) for r in range(2)]
    # Labels over HR pixels, as the definition has it: constant 6 x 6 patches, averaged where they overlap.
    edges = [ignn.fold(labels[:, r].repeat_interleave(36, 1), (8, 6), 2) for r in range(2)]
    weight = torch.stack([module.score_hr(e) for e in edges]).softmax(0)
    torch.testing.assert_close(hr, sum(w * m for w, m in zip(weight, maps, strict=True)), rtol=0, atol=1e-12)
    weight = torch.stack([module.score_lr(F.avg_pool2d(e, 2)) for e in edges]).softmax(0)
    expected = sum(w * module.down(m) for w, m in zip(weight, maps, strict=True))
    torch.testing.assert_close(lr, expected, rtol=0, atol=1e-12)


SMALL = {"features": 8, "blocks": 2}


def test_ignn_without_matcher_builds_but_does_not_run(tmp_path):
    model = models.create("ignn", **SMALL)
    assert models.describe("ignn").asset == "matcher"
    with pytest.raises(RunError, match="the VGG19 matcher has no weights; pass matcher=PATH"):
        model(torch.rand(1, 3, 8, 8))
    again = models.create("ignn", **SMALL)
    again.load_state_dict(model.state_dict())
    with pytest.raises(RunError, match="no weights"):
        again(torch.rand(1, 3, 8, 8))


def test_ignn_matcher_from_files_and_from_a_checkpoint(vgg, tmp_path):
    weights = torch.load(vgg, weights_only=True)
    save_file({k.removeprefix("features."): v for k, v in weights.items()}, tmp_path / "features.safetensors")
    one = models.create("ignn", **SMALL, matcher=vgg).eval()
    two = models.create("ignn", **SMALL)
    two.matcher.load(tmp_path / "features.safetensors")
    for key, value in one.matcher.state_dict().items():
        assert torch.equal(value, two.matcher.state_dict()[key]), key
    rgb = torch.rand(1, 3, 6, 6)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (rgb - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    for n in (0, 2):
        x = F.conv2d(x, weights[f"features.{n}.weight"], weights[f"features.{n}.bias"], padding=1).relu()
    torch.testing.assert_close(one.matcher(rgb), x)
    three = models.create("ignn", **SMALL).eval()
    three.load_state_dict(one.state_dict())
    lr = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(three(lr), one(lr))
    assert not any(p.requires_grad for p in one.matcher.parameters())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.pth", None, "no such weights file"),
        ("other.pth", {"conv.weight": torch.zeros(1)}, r"expected features\.0\.weight \(64, 3, 3, 3\) .* got nothing"),
        ("shape.pth", {"features.0.weight": torch.zeros(64, 64, 3, 3)},
         r"expected features\.0\.weight \(64, 3, 3, 3\) .* got \(64, 64, 3, 3\)"),
    ],
)  # fmt: skip
def test_ignn_wrong_matcher_files_are_named(name, content, message, tmp_path, refused):
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        torch.save(content, tmp_path / name)
    refused(rf"matcher: .*{message}", models.create, "ignn", **SMALL, matcher=tmp_path / name)


def test_span_is_trained_after_it_was_evaluated_in_inference_mode():
    """Its evaluation writes folded weights; those of inference mode could not be loaded or trained again."""
    model = models.create("span", features=8)
    kept = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.inference_mode():
        model.eval()(torch.rand(1, 3, 8, 9))
    model.load_state_dict(kept)
    model.train()(torch.rand(1, 3, 8, 9)).sum().backward()
    assert all(p.requires_grad != ("eval_conv" in name) for name, p in model.named_parameters())
    # The two forms agree inside.
    model, lr = models.create("span", features=8).double(), torch.rand(1, 3, 50, 52, dtype=torch.float64)
    model.net.mean = model.net.mean.double()
    inner = (..., slice(42, -42), slice(42, -42))
    torch.testing.assert_close(model.train()(lr)[inner], model.eval()(lr)[inner], rtol=0, atol=1e-9)

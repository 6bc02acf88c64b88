"""The parts of SAN, HAN, NLSN and IGNN against their definitions, written out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from srfast import models
from srfast.errors import InputError, RunError
from srfast.models import han, ignn, nlsn, san

F64 = torch.float64


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_drrn_units_add_to_the_first_features_not_to_each_other() -> None:
    """With conv_b constant, all units end in the same features: one constant above the first."""
    model = models.create("drrn", features=4, units=3).eval()
    torch.nn.init.zeros_(model.conv_b.weight)
    torch.nn.init.ones_(model.conv_b.bias)
    seen = []
    model.first.register_forward_hook(lambda _, __, out: seen.append(out))
    model.last.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(torch.rand(1, 1, 4, 4))
    torch.testing.assert_close(seen[1], seen[0] + 1)


def test_rdn_residuals_are_the_block_input_and_the_first_shallow_features() -> None:
    model = models.create("rdn", features=8, growth=4, blocks=2, convs=2)
    for conv in (model.fuse[1], *(b.fuse for b in model.blocks)):
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    x = torch.rand(1, 8, 5, 5)
    assert torch.equal(model.blocks[0](x), x)
    lr = torch.rand(1, 3, 5, 5)
    expected = model.centred.inverse(model.up(model.shallow1(model.centred(lr))))
    torch.testing.assert_close(model(lr), expected)


def test_san_covariance_is_the_population_covariance() -> None:
    x = torch.rand(2, 5, 4, 6, dtype=F64)
    expected = torch.stack([torch.cov(i.flatten(1), correction=0) for i in x])
    torch.testing.assert_close(san.covariance(x), expected, rtol=0, atol=1e-14)


def test_san_newton_schulz_converges_to_the_square_root() -> None:
    a = torch.randn(3, 8, 12, dtype=F64)
    matrix = a @ a.transpose(1, 2)
    values, vectors = torch.linalg.eigh(matrix)
    root = vectors @ torch.diag_embed(values.sqrt()) @ vectors.transpose(1, 2)
    torch.testing.assert_close(san.sqrt_newton_schulz(matrix, 20), root, rtol=0, atol=1e-8)


def test_san_five_iterations_are_the_scalar_iteration_on_eigenvalues() -> None:
    """Five iterations do not converge for small eigenvalues; what they give is known all the same."""
    a = torch.randn(2, 6, 9, dtype=F64)
    matrix = a @ a.transpose(1, 2)
    values, vectors = torch.linalg.eigh(matrix)
    trace = values.sum(1, keepdim=True)
    y, z = values / trace, torch.ones_like(values)
    for _ in range(5):
        t = (3 - z * y) / 2
        y, z = y * t, t * z
    root = vectors @ torch.diag_embed(y * trace.sqrt()) @ vectors.transpose(1, 2)
    torch.testing.assert_close(san.sqrt_newton_schulz(matrix), root, rtol=0, atol=1e-12)
    # The largest eigenvalue, a share of 0.3 or more, is there to 2 %.
    assert ((y * trace.sqrt())[:, -1] / values[:, -1].sqrt() - 1).abs().max() < 0.02


def test_san_square_root_of_nothing_is_nothing_and_has_a_gradient() -> None:
    matrix = torch.zeros(1, 3, 3, requires_grad=True)
    root = san.sqrt_newton_schulz(matrix)
    root.sum().backward()
    assert root.abs().max() == 0
    assert torch.isfinite(matrix.grad).all()


@pytest.mark.parametrize("size", [(7, 4), (4, 7), (7, 7), (5, 5)])
def test_san_attention_crops_each_axis_around_the_centre(size: tuple[int, int]) -> None:
    attention = san.SecondOrderAttention(4, 2, crop=5)
    x = torch.rand(1, 4, *size)
    top, left = ((n - 5) // 2 if n > 5 else 0 for n in size)
    z = san.sqrt_newton_schulz(san.covariance(x[..., top : top + 5, left : left + 5])).mean(1)[..., None, None]
    torch.testing.assert_close(attention(x), x * attention.up(attention.down(z).relu()).sigmoid())


@pytest.mark.parametrize("size", [(5, 4), (8, 9), (2, 6), (3, 2), (1, 5), (1, 1)])
def test_san_regions_attend_within_themselves_to_pooled_keys(size: tuple[int, int]) -> None:
    """Each of 2 x 2 regions by itself; keys and values are the largest of 2 x 2 pixels, of 1 along a side of 1."""
    block = san.RegionNonLocal(6, 3)
    x = torch.randn(2, 6, *size)
    assert torch.equal(block(x), x), "the block starts as the identity"
    torch.nn.init.normal_(block.w.weight)
    expected = torch.empty_like(x)
    h, w = size
    for rows in (range(h // 2), range(h // 2, h)):
        for cols in (range(w // 2), range(w // 2, w)):
            if not rows or not cols:
                continue
            region = x[:, :, rows.start : rows.stop, cols.start : cols.stop]
            theta = block.theta(region).flatten(2)
            phi, g = (_pooled(p(region)) for p in (block.phi, block.g))
            mixed = g @ (theta.transpose(1, 2) @ phi).softmax(2).transpose(1, 2)
            mixed = region + block.w(mixed.view(2, 3, *region.shape[2:]))
            expected[:, :, rows.start : rows.stop, cols.start : cols.stop] = mixed
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-5)


def _pooled(x: Tensor) -> Tensor:
    """[N, C, h, w] -> [N, C, positions]: the largest of each 2 x 2 pixels that lie whole in the map."""
    tall, wide = (min(2, n) for n in x.shape[2:])
    return torch.stack(
        [
            x[:, :, i : i + tall, j : j + wide].amax((2, 3))
            for i in range(0, x.shape[2] - tall + 1, tall)
            for j in range(0, x.shape[3] - wide + 1, wide)
        ],
        2,
    )


def test_han_attentions_are_the_identity_at_gamma_zero() -> None:
    stages = torch.randn(2, 3, 4, 5, 6) * 255
    assert torch.equal(han.LayerAttention()(stages), stages)
    x = torch.randn(2, 4, 5, 6)
    assert torch.equal(han.ChannelSpatialAttention()(x), x)


def test_han_layer_attention_written_out() -> None:
    attention = han.LayerAttention().double()
    attention.gamma.data.fill_(0.7)
    stages = torch.randn(2, 3, 2, 2, 2, dtype=F64)
    expected = stages.clone()
    for n in range(2):
        for i in range(3):
            energy = torch.stack([(stages[n, i] * stages[n, j]).sum() for j in range(3)])
            weight = (energy.max() - energy).exp()
            weight = weight / weight.sum()
            expected[n, i] += 0.7 * sum(weight[j] * stages[n, j] for j in range(3))
    torch.testing.assert_close(attention(stages), expected, rtol=0, atol=1e-12)


def test_han_channel_spatial_attention_written_out() -> None:
    attention = han.ChannelSpatialAttention()
    attention.gamma.data.fill_(-0.4)
    x = torch.randn(2, 4, 5, 6)
    gate = F.conv3d(x[:, None], attention.conv.weight, attention.conv.bias, padding=1)[:, 0].sigmoid()
    torch.testing.assert_close(attention(x), x * (1 - 0.4 * gate))


def _full_attention(x: Tensor, value: Tensor) -> Tensor:
    return (x @ F.normalize(x, dim=2, eps=5e-5).transpose(1, 2)).softmax(2) @ value


@pytest.mark.parametrize("training", [True, False])
def test_nlsn_with_one_bucket_is_full_attention(training: bool) -> None:
    attention = nlsn.SparseAttention(8, 2, chunk=144, rounds=4, weight=1.0).train(training)
    x, value = torch.randn(2, 63, 4), torch.randn(2, 63, 8)
    torch.testing.assert_close(attention.attend(x, value), _full_attention(x, value), rtol=0, atol=1e-5)


def test_nlsn_two_chunks_are_full_attention_whatever_the_hash() -> None:
    attention = nlsn.SparseAttention(8, 2, chunk=32, rounds=3, weight=1.0).double()
    x, value = torch.randn(2, 63, 4, dtype=F64), torch.randn(2, 63, 8, dtype=F64)
    torch.testing.assert_close(attention.attend(x, value), _full_attention(x, value), rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [40, 41, 47])
def test_nlsn_chunks_written_out(length: int) -> None:
    chunk, count = 8, -(-length // 8)
    query, key, value = torch.randn(3, 1, length, 4, dtype=F64)
    out, normaliser = nlsn.attend_in_chunks(query, key, value, chunk)
    for i in range(length):
        near = {(i // chunk + d) % count for d in (-1, 0, 1)}
        seen = [j for j in range(length) if j // chunk in near]
        weight = (key[0, seen] @ query[0, i]).exp()
        torch.testing.assert_close(normaliser[0, i], weight.sum().log(), rtol=0, atol=1e-12)
        torch.testing.assert_close(out[0, i], weight @ value[0, seen] / weight.sum(), rtol=0, atol=1e-12)


def test_nlsn_rounds_are_weighted_by_their_normalisers() -> None:
    attention = nlsn.SparseAttention(8, 2, chunk=8, rounds=2, weight=1.0).double().eval()
    x, value = torch.randn(1, 64, 4, dtype=F64), torch.randn(1, 64, 8, dtype=F64)
    key = F.normalize(x, dim=2, eps=5e-5)
    total, weights = torch.zeros(64, 8, dtype=F64), torch.zeros(64, 1, dtype=F64)
    orders = attention.orders(x)
    assert len(orders) == 2
    assert not torch.equal(*orders)
    for order in orders:
        o = order[0]
        out, normaliser = nlsn.attend_in_chunks(x[:, o], key[:, o], value[:, o], 8)
        total[o] += normaliser[0, :, None].exp() * out[0]
        weights[o] += normaliser[0, :, None].exp()
    torch.testing.assert_close(attention.attend(x, value)[0], total / weights, rtol=0, atol=1e-12)


def test_nlsn_sorts_by_the_nearest_rotated_axis() -> None:
    attention = nlsn.SparseAttention(8, 2, chunk=8, rounds=3, weight=1.0).eval()
    x = torch.randn(1, 64, 4)
    rotated = x @ attention.rotations(x, 8)  # [rounds, L, 4]
    codes = torch.cat([rotated, -rotated], 2).argmax(2)
    for order, code in zip(attention.orders(x), codes, strict=True):
        in_order = code[order[0]]
        assert (in_order.diff() >= 0).all()
        assert order[0].sort().values.tolist() == list(range(64))


def test_nlsn_evaluates_deterministically_and_trains_at_random() -> None:
    model = models.create("nlsn", features=16, blocks=2, every=1, chunk=16, weight=1.0)
    lr = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        before = torch.get_rng_state()
        first, second = model.eval()(lr), model(lr)
        assert torch.equal(first, second)
        assert torch.equal(before, torch.get_rng_state()), "evaluation drew from the global generator"
        model.train()
        assert not torch.equal(model(lr), model(lr))
        torch.manual_seed(5)
        third = model(lr)
        torch.manual_seed(5)
        assert torch.equal(third, model(lr))


@pytest.mark.parametrize("unit", [1, 2, 3])
@pytest.mark.parametrize("size", [(3, 3), (4, 7), (8, 5)])
def test_ignn_fold_inverts_unfold(size: tuple[int, int], unit: int) -> None:
    x = torch.randn(2, 3, size[0] * unit, size[1] * unit, dtype=F64)
    patches = ignn.unfold(x, size, unit)
    rows, cols = ignn.patch_grid(size)
    assert patches.shape == (2, 3 * 9 * unit**2, rows * cols)
    torch.testing.assert_close(ignn.fold(patches, size, unit), x, rtol=0, atol=1e-14)


def _padded(x: Tensor, size: tuple[int, int], unit: int) -> tuple[Tensor, int, int]:
    """A map of ``size`` * ``unit`` pixels, zero-padded for patches of 3 every 2; their rows and columns."""
    pads = [(n + 1) % 2 for n in size]  # one pixel, at the bottom or the right, when the size is even
    return (
        F.pad(x, (0, pads[1] * unit, 0, pads[0] * unit)),
        (size[0] + pads[0] - 1) // 2,
        (size[1] + pads[1] - 1) // 2,
    )


@pytest.mark.parametrize(("scale", "window"), [(2, 100), (2, 3), (2, 4), (3, 2), (3, 3), (3, 5)])
@pytest.mark.parametrize("odd", [(0, 0), (1, 1)])
def test_ignn_neighbours_written_out(scale: int, window: int, odd: tuple[int, int]) -> None:
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
def test_ignn_aggregation_written_out(size: tuple[int, int], odd: tuple[int, int], scale: int) -> None:
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


def test_ignn_aggregation_draws_a_ramp_larger() -> None:
    """Where every patch is given its own place in the smaller image, a ramp becomes one of half the slope.

    Holds on pixel centres, so it catches a shift of the HR patches. The unbiased variances of 3 x 3 and 6 x 6
    samples of a ramp are as 1 to 4; the 1e-5 under the roots accounts for the tolerance. The last patches
    hold zero padding.
    """
    line = torch.arange(24, dtype=F64)
    x = (line[:, None] + 2 * line)[None, None]
    small_cols = ignn.patch_grid((12, 12))[1]
    i = torch.arange(ignn.patch_grid((24, 24))[0]) // 2
    hr = ignn.aggregate(x, (i[:, None] * small_cols + i).view(1, -1), 2)
    fine = (torch.arange(40, dtype=F64) + 0.5) / 2 - 0.5
    torch.testing.assert_close(hr[0, 0, :40, :40], fine[:, None] + 2 * fine, rtol=0, atol=1e-5)


def test_ignn_aggregation_module_sums_neighbours_with_softmax_weights() -> None:
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


def _vgg() -> dict[str, Tensor]:
    return {
        "features.0.weight": torch.randn(64, 3, 3, 3),
        "features.0.bias": torch.randn(64),
        "features.2.weight": torch.randn(64, 64, 3, 3),
        "features.2.bias": torch.randn(64),
    }


SMALL = {"features": 8, "blocks": 2}


def test_ignn_without_matcher_builds_but_does_not_run(tmp_path: Path) -> None:
    model = models.create("ignn", **SMALL)
    assert models.describe("ignn").asset == "matcher"
    with pytest.raises(RunError, match="the VGG19 matcher has no weights: pass matcher=PATH"):
        model(torch.rand(1, 3, 8, 8))
    again = models.create("ignn", **SMALL)
    again.load_state_dict(model.state_dict())
    with pytest.raises(RunError, match="no weights"):
        again(torch.rand(1, 3, 8, 8))


def test_ignn_matcher_from_files_and_from_a_checkpoint(tmp_path: Path) -> None:
    weights = _vgg()
    torch.save(weights, tmp_path / "vgg19.pth")
    save_file({k.removeprefix("features."): v for k, v in weights.items()}, tmp_path / "features.safetensors")
    one = models.create("ignn", **SMALL, matcher=tmp_path / "vgg19.pth").eval()
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


def test_ignn_wrong_matcher_files_are_named(tmp_path: Path) -> None:
    def attempt(path: Path, match: str) -> None:
        with pytest.raises(InputError, match=match) as caught:
            models.create("ignn", **SMALL, matcher=path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)

    attempt(tmp_path / "missing.pth", "matcher: cannot read .*missing.pth")
    (tmp_path / "text.pth").write_text("not weights")
    attempt(tmp_path / "text.pth", "matcher: cannot read")
    (tmp_path / "empty.pth").write_bytes(b"")
    attempt(tmp_path / "empty.pth", "matcher: cannot read")
    (tmp_path / "text.safetensors").write_text("not weights")
    attempt(tmp_path / "text.safetensors", "matcher: cannot read")
    torch.save([1, 2], tmp_path / "list.pth")
    attempt(tmp_path / "list.pth", "expected a state dict .* got list")
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    attempt(tmp_path / "other.pth", r"expected features\.0\.weight \(64, 3, 3, 3\) .* got nothing")
    torch.save(_vgg() | {"features.2.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "shape.pth")
    attempt(tmp_path / "shape.pth", r"expected features\.2\.weight \(64, 64, 3, 3\) .* got \(64, 3, 3, 3\)")

"""The parts of SAN, HAN and NLSN against their definitions, written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srfast import models
from srfast.errors import InputError
from srfast.models import han, nlsn, san
from srfast.ops import reference

F64 = torch.float64


def test_rdn_residuals_are_the_block_input_and_the_first_shallow_features():
    model = models.create("rdn", features=8, growth=4, blocks=2, convs=2)
    for conv in (model.fuse[1], *(b.fuse for b in model.blocks)):
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    x = torch.rand(1, 8, 5, 5)
    assert torch.equal(model.blocks[0](x), x)
    lr = torch.rand(1, 3, 5, 5)
    expected = model.centred.inverse(model.up(model.shallow1(model.centred(lr))))
    torch.testing.assert_close(model(lr), expected)


def test_san_covariance_and_its_square_root():
    """Twenty iterations converge; what five give for small eigenvalues is the scalar iteration on them."""
    x = torch.rand(2, 5, 4, 6, dtype=F64)
    expected = torch.stack([torch.cov(i.flatten(1), correction=0) for i in x])
    torch.testing.assert_close(san.covariance(x), expected, rtol=0, atol=1e-14)
    a = torch.randn(2, 6, 9, dtype=F64)
    matrix = a @ a.transpose(1, 2)
    values, vectors = torch.linalg.eigh(matrix)
    trace = values.sum(1, keepdim=True)
    y, z = values / trace, torch.ones_like(values)
    for _ in range(5):
        t = (3 - z * y) / 2
        y, z = y * t, t * z
    for iterations, roots, atol in ((5, y * trace.sqrt(), 1e-12), (20, values.sqrt(), 1e-8)):
        root = vectors @ torch.diag_embed(roots) @ vectors.transpose(1, 2)
        torch.testing.assert_close(san.sqrt_newton_schulz(matrix, iterations), root, rtol=0, atol=atol)
    # The largest eigenvalue, a share of 0.3 or more, is there to 2 %.
    assert ((y * trace.sqrt())[:, -1] / values[:, -1].sqrt() - 1).abs().max() < 0.02
    nothing = torch.zeros(1, 3, 3, requires_grad=True)
    root = san.sqrt_newton_schulz(nothing)
    root.sum().backward()
    assert root.abs().max() == 0
    assert torch.isfinite(nothing.grad).all()


@pytest.mark.parametrize("size", [(7, 4), (4, 7), (7, 7), (5, 5)])
def test_san_attention_crops_each_axis_around_the_centre(size):
    attention = san.SecondOrderAttention(4, 2, crop=5)
    x = torch.rand(1, 4, *size)
    top, left = ((n - 5) // 2 if n > 5 else 0 for n in size)
    z = san.sqrt_newton_schulz(san.covariance(x[..., top : top + 5, left : left + 5])).mean(1)[..., None, None]
    torch.testing.assert_close(attention(x), x * attention.up(attention.down(z).relu()).sigmoid())


@pytest.mark.parametrize("size", [(5, 4), (8, 9), (2, 6), (3, 2), (1, 5), (1, 1)])
def test_san_regions_attend_within_themselves_to_pooled_keys(size):
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
    rows, columns = range(0, x.shape[2] - tall + 1, tall), range(0, x.shape[3] - wide + 1, wide)
    return torch.stack([x[:, :, i : i + tall, j : j + wide].amax((2, 3)) for i in rows for j in columns], 2)


def test_han_layer_attention_written_out():
    attention = han.LayerAttention().double()
    stages = torch.randn(2, 3, 2, 2, 2, dtype=F64)
    assert torch.equal(attention(stages), stages), "it starts as the identity"
    attention.gamma.data.fill_(0.7)
    expected = stages.clone()
    for n in range(2):
        for i in range(3):
            energy = torch.stack([(stages[n, i] * stages[n, j]).sum() for j in range(3)])
            weight = (energy.max() - energy).exp()
            weight = weight / weight.sum()
            expected[n, i] += 0.7 * sum(weight[j] * stages[n, j] for j in range(3))
    torch.testing.assert_close(attention(stages), expected, rtol=0, atol=1e-12)


def test_han_channel_spatial_attention_written_out():
    attention = han.ChannelSpatialAttention()
    x = torch.randn(2, 4, 5, 6)
    assert torch.equal(attention(x), x), "it starts as the identity"
    attention.gamma.data.fill_(-0.4)
    gate = F.conv3d(x[:, None], attention.conv.weight, attention.conv.bias, padding=1)[:, 0].sigmoid()
    torch.testing.assert_close(attention(x), x * (1 - 0.4 * gate))


def _full_attention(x: Tensor, value: Tensor) -> Tensor:
    return (x @ F.normalize(x, dim=2, eps=5e-5).transpose(1, 2)).softmax(2) @ value


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("chunk", [144, 32])
def test_nlsn_with_one_bucket_or_two_chunks_is_full_attention(chunk, training):
    attention = nlsn.SparseAttention(8, 2, chunk=chunk, rounds=4, weight=1.0).double().train(training)
    x, value = torch.randn(2, 63, 4, dtype=F64), torch.randn(2, 63, 8, dtype=F64)
    torch.testing.assert_close(attention.attend(x, value), _full_attention(x, value), rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [40, 41, 47])
def test_nlsn_chunks_written_out(length):
    chunk, count = 8, -(-length // 8)
    query, key, value = torch.randn(3, 1, length, 4, dtype=F64)
    out, normaliser = nlsn.attend_in_chunks(query, key, value, chunk)
    for i in range(length):
        near = {(i // chunk + d) % count for d in (-1, 0, 1)}
        seen = [j for j in range(length) if j // chunk in near]
        weight = (key[0, seen] @ query[0, i]).exp()
        torch.testing.assert_close(normaliser[0, i], weight.sum().log(), rtol=0, atol=1e-12)
        torch.testing.assert_close(out[0, i], weight @ value[0, seen] / weight.sum(), rtol=0, atol=1e-12)


def test_nlsn_rounds_are_weighted_by_their_normalisers():
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


def test_nlsn_sorts_by_the_nearest_rotated_axis():
    attention = nlsn.SparseAttention(8, 2, chunk=8, rounds=3, weight=1.0).eval()
    x = torch.randn(1, 64, 4)
    rotated = x @ attention.rotations(x, 8)  # [rounds, L, 4]
    codes = torch.cat([rotated, -rotated], 2).argmax(2)
    for order, code in zip(attention.orders(x), codes, strict=True):
        in_order = code[order[0]]
        assert (in_order.diff() >= 0).all()
        assert order[0].sort().values.tolist() == list(range(64))


def test_nlsn_evaluates_deterministically_and_trains_at_random():
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


def test_any_network_takes_rgb():
    """Y is reconstructed by the network, chroma up-sampled bicubically."""
    lr = torch.rand(2, 3, 12, 10)
    for name in ("srcnn", "fsrcnn", "edsr_baseline"):
        options = {"blocks": 1, "features": 8} if name == "edsr_baseline" else {}
        net = models.create(name, 3, **options).eval()
        wrapped = models.rgb(net, 3)
        assert wrapped(lr).shape == (2, 3, 36, 30)
        assert not wrapped.training
        if name == "edsr_baseline":
            assert wrapped is net
            continue
        matrix = torch.tensor([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
        offset = torch.tensor([16, 128, 128]).view(1, 3, 1, 1) / 255
        ycc, sr = (torch.einsum("ij,njhw->nihw", matrix, x) + offset for x in (lr, wrapped(lr)))
        # Float32 through two 3 x 3 matrices with entries up to 2.
        torch.testing.assert_close(sr[:, :1], net(ycc[:, :1]), rtol=0, atol=1e-5)
        torch.testing.assert_close(sr[:, 1:], reference.resample(ycc[:, 1:], 3), rtol=0, atol=1e-5)
        sum(p.sum() for p in [wrapped(lr)]).backward()
        assert all(p.grad is not None for p in net.parameters())
        assert models.rgb(wrapped) is wrapped
    for wrong, message in (
        ((net, 2), "scale: expected 3, the scale of the model, got 2"),
        ((torch.nn.Conv2d(1, 1, 3),), "scale: expected 1, 2, 3 or 4, got None"),
        (("srcnn",), "model: expected a module"),
    ):
        with pytest.raises(InputError, match=message):
            models.rgb(*wrong)

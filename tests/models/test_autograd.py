"""The cheap passes against PyTorch's own, in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srfast import models
from srfast.models import autograd


def leaf(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def assert_same_pass(mine: Tensor, theirs: Tensor, inputs: list[Tensor]) -> None:
    """Values and gradients of all inputs: up to a few hundred float64 roundings of numbers near 10."""
    grad = torch.randn_like(theirs)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)
    for a, b in zip(torch.autograd.grad(mine, inputs, grad), torch.autograd.grad(theirs, inputs, grad), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def transposed(x: Tensor, weight: Tensor, bias: Tensor, scale: int) -> Tensor:
    """The transposed convolution in full, of features replicated further than it can see, then cropped."""
    far, half = 9, weight.shape[-1] // 2
    whole = F.conv_transpose2d(F.pad(x, (far,) * 4, mode="replicate"), weight, bias, stride=scale)
    first = scale * far + half - (scale - 1) // 2
    return whole[..., first : first + scale * x.shape[2], first : first + scale * x.shape[3]]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(2, 3, 6, 7), (1, 5, 1, 1), (2, 3, 5, 4), (1, 1, 2, 9)])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [5, 9, 17])
def test_upsample_is_the_transposed_convolution(kernel, scale, shape, memory_format, monkeypatch):
    x, weight, bias = leaf(*shape), leaf(shape[1], 1, kernel, kernel), leaf(1)
    mine = autograd.upsample(x.contiguous(memory_format=memory_format), weight, bias, scale)
    assert_same_pass(mine, transposed(x, weight, bias, scale), [x, weight, bias])
    monkeypatch.setattr(autograd, "_eager_on_cpu", lambda _: False)  # on other devices and in exported graphs
    assert_same_pass(autograd.upsample(x, weight, bias, scale), transposed(x, weight, bias, scale), [x, weight, bias])


def test_exported_networks_hold_pytorchs_operators():
    model = models.create("fsrcnn", 2).eval()
    graph = torch.export.export(model, (torch.rand(1, 1, 8, 8),))
    called = {str(node.target) for node in graph.graph.nodes}
    assert any("conv_transpose2d" in target for target in called)
    lr = torch.rand(1, 1, 8, 8)
    # float32, some hundred products a pixel.
    torch.testing.assert_close(graph.module()(lr), model(lr), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5, 4), (2, 1, 3), (0, 3, 2, 2)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("slopes", ["one", "each"])
def test_prelu_is_pytorchs(shape, memory_format, slopes):
    """Zeros among the inputs: there PyTorch's gradient is the slope's, not 1."""
    x = leaf(*shape)
    x.data[x.data.abs() < 0.3] = 0
    count = shape[1] if slopes == "each" else 1
    own = nn.PReLU(count).double()
    own.weight.data.uniform_(-1, 2)
    mine = autograd.PReLU(count).double()
    mine.load_state_dict(own.state_dict())
    turned = x.contiguous(memory_format=memory_format) if x.ndim == 4 else x
    y, expected = mine(turned), own(x)
    grad = torch.randn_like(y)
    got = torch.autograd.grad(y, [x, mine.weight], grad)
    torch.testing.assert_close(y, expected, rtol=0, atol=0)
    torch.testing.assert_close(got, torch.autograd.grad(expected, [x, own.weight], grad), rtol=0, atol=1e-13)


def replicated(x: Tensor, conv: nn.Conv2d) -> Tensor:
    return F.conv2d(F.pad(x, (conv.kernel_size[0] // 2,) * 4, mode="replicate"), conv.weight, conv.bias)


def assert_same_training(model: nn.Module, mine: Tensor, plain: Tensor) -> None:
    """One loss and every parameter's gradient, as PyTorch's modules give them."""
    hr, parameters = torch.rand_like(plain), list(model.parameters())
    got, expected = (torch.autograd.grad(F.mse_loss(sr, hr), parameters) for sr in (mine, plain))
    # Sums of at most a few thousand terms, of the size of the gradients or smaller.
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_fsrcnn_is_that_of_plain_modules(scale):
    model = models.create("fsrcnn", scale).double()
    x = lr = torch.rand(2, 1, 7, 6, dtype=torch.float64)
    for module in model.body:
        x = F.prelu(x, module.weight) if isinstance(module, nn.PReLU) else replicated(x, module)
    assert_same_training(model, model(lr), transposed(x, model.deconv.weight, model.deconv.bias, scale))


@pytest.mark.parametrize("here", [True, False], ids=["here", "on other devices"])
def test_srcnn_is_that_of_plain_modules(here, monkeypatch):
    monkeypatch.setattr(autograd, "_eager_on_cpu", lambda _: here)
    model, up = models.create("srcnn", 2).double(), torch.rand(2, 1, 13, 10, dtype=torch.float64)
    plain = replicated(replicated(replicated(up, model.conv1).relu(), model.conv2).relu(), model.conv3)
    assert_same_training(model, model.enhance(up), plain)

"""SPAN, whose evaluation runs with folded weights."""

from __future__ import annotations

import torch

from srfast import models


def test_span_is_trained_after_it_was_evaluated_in_inference_mode() -> None:
    """Its evaluation writes folded weights; those of inference mode could not be loaded or trained again."""
    model = models.create("span", features=8)
    kept = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.inference_mode():
        model.eval()(torch.rand(1, 3, 8, 9))
    model.load_state_dict(kept)
    model.train()(torch.rand(1, 3, 8, 9)).sum().backward()
    assert all(p.requires_grad != ("eval_conv" in name) for name, p in model.named_parameters())


def test_spans_two_forms_agree_inside() -> None:
    model = models.create("span", features=8).double()
    lr = torch.rand(1, 3, 50, 52, dtype=torch.float64)
    model.net.mean = model.net.mean.double()
    inner = (..., slice(42, -42), slice(42, -42))
    torch.testing.assert_close(model.train()(lr)[inner], model.eval()(lr)[inner], rtol=0, atol=1e-9)


def test_fresh_networks_start_near_the_nearest_neighbour_and_learn_in_every_layer() -> None:
    """A plain stack of PyTorch's own weights leaves the first layer 2e-5 of the last one's gradient; residual blocks
    or ranges of 255 start at errors of 1."""
    torch.manual_seed(0)
    lr, hr = torch.rand(2, 3, 12, 12), torch.rand(2, 3, 24, 24)
    for name in ("compact", "span", "realplksr"):
        model = models.create(name)
        sr = model(lr)
        near = torch.nn.functional.interpolate(lr, scale_factor=2)
        assert float((sr.detach() - near).abs().mean()) < 0.2, name
        (sr - hr).abs().mean().backward()
        # A last layer of 0 lets nothing pass before its first step.
        torch.optim.Adam(model.parameters(), 2e-3).step()
        model.zero_grad()
        (model(lr) - hr).abs().mean().backward()
        sizes = [
            float(part.weight.grad.norm())
            for path, part in model.named_modules()
            if isinstance(part, torch.nn.Conv2d) and part.weight.requires_grad and part.weight.grad is not None
        ]
        assert sizes[0] > 1e-2 * sizes[-1], name

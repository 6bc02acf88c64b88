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

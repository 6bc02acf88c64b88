"""Scores of patches in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from srfast.ops.checks import check_patches, check_scale
from srfast.ops.device import Device
from srfast.runtime.optional import is_tensor, untraced
from srfast.runtime.threads import default_threads
from srfast.scoring.backends.choice import make_engine
from srfast.scoring.backends.protocol import BatchEngine, TakesTensors, check_finite
from srfast.scoring.network import Scorer, load_network
from srfast.scoring.settings import Backend, Precision, Scale, ScoreSettings

if TYPE_CHECKING:
    from torch import Tensor

    Patches = TypeVar("Patches", np.ndarray, Tensor)


@untraced
def score_patches(
    patches: Patches,
    scale: Scale = 2,
    *,
    scorer: Scorer = "srcnn",
    backend: Backend = "auto",
    device: Device = "auto",
    precision: Precision = "fp32",
    isa: str | None = None,
) -> Patches:
    """How badly a small network reconstructs each patch: L(M(d(y)), y) of Moser, Raue, Dengel (2024), Section 3.

    Each patch is an image of its own: Y, bit-exact down-sampling by ``scale``, bicubic up-sampling, SRCNN, mean squared
    error.

    Args:
        patches: uint8 [N, H, W, 3] RGB, or [N, H, W, 1], which is Y itself; an array or a tensor, contiguous or not. H
            and W are multiples of ``scale``; N may be 0.
        scale: 2, 3 or 4.
        scorer: "srcnn", "bicubic", a weight file, or a module or function from LR [N, C, h, w] in [0, 1] to SR (see
            ``srfast.scoring.network.load_network``).
        backend: "auto", "native", "triton", "torch" or "onnx"; a backend that is named is used, or the call raises an
            error.
        device: "auto", "cpu" or "cuda".
        precision: "fp32", or "fast" for reduced precision if the machine has it.
        isa: Instruction set of the native CPU engine; None takes the fastest.

    Returns:
        float32 [N] in units of [0, 255]^2: an array, or a tensor on the device of ``patches``. Every fp32 backend
        agrees with ``srfast.ops.reference.score_patches`` in float64 to 1e-4 relative, or to 2e-4 sqrt(loss) + 1e-8 if
        that is more, which is below a loss of 4: a float32 reconstruction is off by up to 1e-4 grey levels (7 ulp of
        235), and in a flat patch by the same amount at every pixel, so that nothing averages out.

    Raises:
        InputError (a ValueError): the shape, scale or an option is wrong.
        TypeError: the patches are not uint8.
        RunError: the backend cannot be used, or a loss is not finite (losses that stay on a GPU are not checked).
    """
    if not (isinstance(patches, np.ndarray) or is_tensor(patches)):
        raise TypeError(f"patches: expected a NumPy array or a tensor, got {type(patches).__name__}")
    check_patches(patches, check_scale(scale))
    settings = ScoreSettings(scale=scale, scorer=scorer, backend=backend, device=device, precision=precision)
    network = load_network(scorer, settings.scale)
    if isinstance(patches, np.ndarray):
        engine = make_engine(network, settings, isa, default_threads())
        return check_finite(engine.batch(patches), "scorer") if len(patches) else np.zeros(0, np.float32)
    import torch

    with torch.cuda.device_of(patches):
        return _of_tensor(make_engine(network, settings, isa, default_threads()), patches)


def _of_tensor(engine: BatchEngine, patches: Any) -> Any:
    import torch

    if isinstance(engine, TakesTensors):
        losses = engine.batch_tensor(patches)
        if losses.device.type == "cpu":
            check_finite(losses.numpy(), "scorer")
        return losses
    loss = check_finite(engine.batch(patches.detach().cpu().numpy()), "scorer")
    return torch.from_numpy(loss).to(patches.device)

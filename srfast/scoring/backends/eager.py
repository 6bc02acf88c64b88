"""Plain PyTorch, on any device: the reference's arithmetic in batches."""

from __future__ import annotations

import numpy as np
import torch

from srfast.ops import reference
from srfast.ops.precision import without_tf32
from srfast.scoring.backends.maps import MapEngine
from srfast.scoring.network import Network


class EagerEngine(MapEngine):
    """Scores SRCNN and bicubic with torch; SRCNN's first layer takes 256 bytes a pixel."""

    name = "torch"

    def __init__(self, network: Network, boundary: str = "symmetric", device: str = "cpu") -> None:
        super().__init__(network, boundary)
        self.device = torch.device(device)

    @torch.inference_mode()
    def errors(self, patches: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(np.array(patches, order="C")).to(self.device)
        scale, boundary = self.network.scale, self.boundary
        with without_tf32():
            error = reference.squared_error(x, self.network.weights, scale, torch.float32, boundary)
        return error.cpu().numpy()

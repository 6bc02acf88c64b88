"""ONNX Runtime: the exported scorer, or a network from an .onnx file between our degradation and our loss."""

from __future__ import annotations

import numpy as np
import torch

from srfast.ops import reference
from srfast.scoring.backends.maps import MapEngine
from srfast.scoring.backends.onnx.runtime import OnnxNetwork, OnnxScorer
from srfast.scoring.network import Network


class OnnxEngine(MapEngine):
    """Scores with ONNX Runtime."""

    name = "onnx"

    def __init__(self, network: Network, boundary: str = "symmetric", device: str = "auto", threads: int = 1) -> None:
        super().__init__(network, boundary)
        self._scorer: OnnxScorer | None = None
        self._network: OnnxNetwork | None = None
        if network.path is not None and network.kind == "onnx":
            self._network = OnnxNetwork(network.path, network.scale, threads, device)
        else:
            self._scorer = OnnxScorer(network.weights, network.scale, boundary, threads, device)

    def batch(self, patches: np.ndarray) -> np.ndarray:
        return self._scorer.score(patches) if self._scorer else super().batch(patches)

    def errors(self, patches: np.ndarray) -> np.ndarray:
        if self._scorer:
            return self._scorer.squared_error(patches)
        assert self._network is not None
        x = torch.from_numpy(np.array(patches, order="C"))
        y = reference.luma(x) if x.shape[-1] == 3 else x[..., 0]
        scale = self.network.scale
        if self._network.takes == "up":
            plane = reference.degrade(y, scale, torch.float32, self.boundary)
        else:
            plane = reference.resample_uint8(y, 1 / scale, self.boundary).float()[:, None]
        sr = 255 * self._network.enhance((plane / 255).numpy())[:, 0]
        return (sr - y.numpy().astype(np.float32)) ** 2

"""ONNX Runtime as an engine: the exported scorer, or a network from an .onnx file between d and L."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from srfast.ops import reference
from srfast.scoring.backends.maps import MapEngine
from srfast.scoring.backends.onnx.runtime import OnnxNetwork, OnnxScorer
from srfast.scoring.network import Network


class OnnxEngine(MapEngine):
    """Scores SRCNN and bicubic with ONNX Runtime."""

    name = "onnx"

    def __init__(self, network: Network, boundary: str = "symmetric", device: str = "auto", threads: int = 1) -> None:
        super().__init__(network, boundary)
        self._scorer = OnnxScorer(network.weights, network.scale, boundary, threads, device)

    def batch(self, patches: np.ndarray) -> np.ndarray:
        return self._scorer.score(patches)

    def errors(self, patches: np.ndarray) -> np.ndarray:
        return self._scorer.squared_error(patches)


class OnnxModule(nn.Module):
    """An .onnx network as a module in main memory: LR [N, C, h, w] in [0, 1] to SR.

    A network whose output has the size of its input gets the bicubically up-sampled planes.

    Raises:
        InputError: ``OnnxNetwork`` refuses the file.
        RunError: onnxruntime is missing.
    """

    def __init__(self, path: Path, scale: int, boundary: str, threads: int, device: str) -> None:
        super().__init__()
        self._network = OnnxNetwork(path, scale, threads, device)
        self._boundary = boundary
        self.color: Literal["y", "rgb"] = "y" if self._network.channels == 1 else "rgb"

    def forward(self, lr: Tensor) -> Tensor:
        if self._network.takes == "up":
            lr = reference.resample(lr, self._network.scale, self._boundary)
        return torch.from_numpy(self._network.enhance(lr.contiguous().numpy()))

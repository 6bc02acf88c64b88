"""Fresh networks that show every path, and their weights in other names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srfast import models
from srfast.models.loading import load_model


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def renamed() -> Callable[[nn.Module, Any], dict[str, Tensor]]:
    """The tensors of a network of ours in names of others, given pairs of theirs and ours; what ours lacks counts for
    nothing, and what the names leave out stays out."""

    def rename(own: nn.Module, names: Any) -> dict[str, Tensor]:
        state = own.state_dict()
        pairs = [(f"{there}.{k}", f"{here}.{k}") for there, here in names for k in ("weight", "bias", "gamma")]
        return {there: state[here].clone() for there, here in pairs if here in state}

    return rename


@pytest.fixture
def noisy() -> Callable[[nn.Module], nn.Module]:
    """Weights that let every path show; fresh networks have gammas and last layers of zero."""

    def shaken(model: nn.Module) -> nn.Module:
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.05 * torch.randn_like(p))
        return model.eval()

    return shaken


@pytest.fixture
def tiny(sizes: Callable[[str], dict[str, Any]]) -> Callable[..., nn.Module]:
    """tiny(name, scale): a fresh network of a few channels."""
    return lambda name, scale=2: models.create(name, scale, **sizes(name))


@pytest.fixture
def opens_as(tmp_path: Path) -> Callable[..., Any]:
    """opens_as(state, own, file, atol): the weights give what a function of LR gives; how they were opened."""

    def check(state: Any, own: Callable[[Tensor], Tensor], file: str = "net.pt", atol: float = 1e-5) -> Any:
        path = tmp_path / file
        path.write_bytes(state) if isinstance(state, bytes) else torch.save(state, path)
        network = load_model(path)
        lr = torch.rand(1, network.channels, 13, 14)
        with torch.no_grad():
            torch.testing.assert_close(network.model(lr), own(lr), rtol=atol, atol=atol)
            assert torch.equal(models.load(path)(lr), network.model(lr))
        return network

    return check

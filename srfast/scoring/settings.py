"""What a scoring run is: one list of settings, checked once, free of torch.

The command line's options, the metadata of a score table and what ``--resume`` and shards must agree on are made from
this list.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from srfast.errors import InputError
from srfast.ops.device import DEVICES, Device

if TYPE_CHECKING:
    from srfast.scoring.network import Network, Scorer

Scale = Literal[2, 3, 4]
Mode = Literal["patch", "dense"]
Backend = Literal["auto", "native", "triton", "torch", "onnx"]
Precision = Literal["fp32", "fast"]
Loader = Literal["srfast", "dali"]
Boundary = Literal["symmetric", "replicate"]

SCALES: tuple[int, ...] = get_args(Scale)
MODES: tuple[str, ...] = get_args(Mode)
BACKENDS: tuple[str, ...] = get_args(Backend)
PRECISIONS: tuple[str, ...] = get_args(Precision)
LOADERS: tuple[str, ...] = get_args(Loader)
BOUNDARIES: tuple[str, ...] = get_args(Boundary)
TILE_OVERLAP = 32
"""As many LR pixels as tools of the field take; not exact."""


def _setting(default: Any, help: str, **about: Any) -> Any:
    """A field with what the command line says of it; ``compared``: tables that are put together agree on it."""
    return field(default=default, metadata={"help": help, **about})


@dataclass(frozen=True)
class ScoreSettings:
    """The settings of ``srfast.score``, in the order of its arguments; see there.

    Raises:
        InputError: a value out of range, with the setting's name.
    """

    scale: Scale = _setting(2, "HR / LR.", choices=SCALES, compared=True)
    patch: int = _setting(96, "Side of a patch in HR pixels.", compared=True)
    stride: int | None = _setting(None, "Step of the grid in HR pixels.", shown="the patch", compared=True)
    mode: Mode = _setting(
        "patch",
        "patch: each patch is degraded by itself (the paper). dense: each image once, for all its patches.",
        choices=MODES,
        compared=True,
    )
    scorer: Scorer = _setting(
        "srcnn",
        "The network: shipped, none, weights (docs/models.md) or an .onnx file.",
        metavar="srcnn|bicubic|PATH",
        compared=True,
    )
    backend: Backend = _setting(
        "auto", "The implementation; a named one works or ends with the reason.", choices=BACKENDS
    )
    device: Device = _setting("auto", "Where it runs.", choices=DEVICES)
    precision: Precision = _setting(
        "fp32",
        "fast: reduced precision where the machine has it; the ranking stays, the digits do not.",
        choices=PRECISIONS,
        compared=True,
    )
    boundary: Boundary = _setting(
        "symmetric", "Border of the resampling: MATLAB's since R2015b, or before.", choices=BOUNDARIES, compared=True
    )
    loader: Loader = _setting(
        "srfast",
        "What decodes: srfast on the CPU, or dali: JPEG on the GPU, refused where the pixels are not the same.",
        choices=LOADERS,
    )
    workers: int | None = _setting(None, "CPU threads that decode and score.", shown="one a core", flag="--threads")
    shard: tuple[int, int] | None = _setting(None, "Every n-th image from the i-th on.", metavar="i/n")
    skip_bad: bool = _setting(False, "Go on after unreadable files, and list them in the table.")
    lr: str | os.PathLike[str] | None = _setting(
        None, "Folder of the LR images, where they exist already; else they are made.", metavar="DIR", text=True,
        compared=True, also=("--lr-images",),
    )  # fmt: skip
    lr_template: str = _setting("{}", "Name of an LR image after its HR image's, such as {}x4.", compared=True)
    blockiness: bool = _setting(
        False, "Also a column of JPEG's block artefacts, 0 to 100 (docs/selection.md).", compared=True
    )
    tile_overlap: int = _setting(
        TILE_OVERLAP,
        "LR pixels around a tile of a large image, where a network's reach is not known (docs/selection.md).",
        compared=True,
    )

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            choices = f.metadata.get("choices")
            if choices is not None:
                _check_choice(f.name, getattr(self, f.name), choices)
        from srfast.data.grid import check_grid  # NumPy, which a command's help need not wait for

        object.__setattr__(self, "stride", self.patch if self.stride is None else self.stride)
        check_grid(self.scale, self.patch, self.step)
        for name in ("scale", "patch", "stride"):
            object.__setattr__(self, name, int(getattr(self, name)))
        if self.workers is not None and (not _whole(self.workers) or self.workers < 1):
            raise InputError(f"workers: expected a whole number of at least 1, got {self.workers!r}")
        if self.shard is not None:
            _check_shard(self.shard)
        if not isinstance(self.blockiness, bool):
            raise InputError(f"blockiness: expected True or False, got {self.blockiness!r}")
        if self.blockiness:
            from srfast.ops.blockiness import SMALLEST

            if self.patch < SMALLEST:
                raise InputError(f"blockiness: expected a patch of at least {SMALLEST} pixels, got {self.patch}")
        if not _whole(self.tile_overlap) or self.tile_overlap < 0:
            raise InputError(f"tile-overlap: expected a whole number of at least 0, got {self.tile_overlap!r}")
        if self.lr is not None:
            from srfast.data.lowres import LowRes

            object.__setattr__(self, "lr", str(LowRes.open(self.lr, self.lr_template).folder))
        elif self.lr_template != "{}":
            raise InputError("lr-template: expected lr with it")

    @property
    def step(self) -> int:
        """``stride``, resolved."""
        assert self.stride is not None
        return self.stride

    def recorded(self, root: str, network: Network, backend: str, precision: str) -> dict[str, Any]:
        """What a table's metadata says of them: ``backend`` and ``precision`` are those that scored."""
        return {
            "root": root,
            "scale": self.scale,
            "patch": self.patch,
            "stride": self.stride,
            "mode": self.mode,
            "scorer": {"name": network.name, "sha256": network.sha256},
            "boundary": self.boundary,
            "precision": precision,
            "backend": backend,
            "shard": list(self.shard) if self.shard else None,
            **({"lr": str(self.lr), "lr_template": self.lr_template} if self.lr is not None else {}),
            **({"blockiness": True} if self.blockiness else {}),
            **({"tile_overlap": self.tile_overlap} if self.tile_overlap != TILE_OVERLAP else {}),
        }


class ScoreOptions(TypedDict, total=False):
    """The same settings as keyword arguments, for type checkers (PEP 692)."""

    scale: Scale
    patch: int
    stride: int | None
    mode: Mode
    scorer: Scorer
    backend: Backend
    device: Device
    precision: Precision
    boundary: Boundary
    loader: Loader
    workers: int | None
    shard: tuple[int, int] | None
    skip_bad: bool
    lr: str | os.PathLike[str] | None
    lr_template: str
    blockiness: bool
    tile_overlap: int


COMPARED: tuple[str, ...] = tuple(f.name for f in dataclasses.fields(ScoreSettings) if f.metadata.get("compared"))
"""Metadata that must agree between tables that are put together, and between a table and a run that resumes it."""


def _check_choice(name: str, value: object, choices: tuple[Any, ...]) -> None:
    if isinstance(value, (bool, float)) or not isinstance(value, (str, Integral)) or value not in choices:
        expected = ", ".join(map(str, choices[:-1])) + f" or {choices[-1]}"
        raise InputError(f"{name}: expected {expected}, got {value!r}")


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check_shard(shard: Any) -> None:
    """(i, n): i counts from 0 or from 1, so n/n is the shard 0/n."""
    pair = isinstance(shard, (tuple, list)) and len(shard) == 2 and all(map(_whole, shard))
    if not pair or shard[1] < 1 or not 0 <= shard[0] <= shard[1]:
        got = f"{shard[0]}/{shard[1]}" if pair else repr(shard)
        raise InputError(f"shard: expected i/n with 0 <= i <= n and n >= 1, got {got}")

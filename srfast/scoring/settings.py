"""The settings of a scoring run, declared and checked once, without importing torch.

The signature of ``srfast.score``, the command line's options, the metadata of a score table and the settings on which
``--resume`` and shards must agree are made from this list.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, get_args

from srfast.errors import InputError
from srfast.ops.device import Device, device
from srfast.settings import (
    SWITCH,
    Kind,
    Settings,
    check_same_size,
    lr_template,
    one_of,
    path,
    progress,
    setting,
    text,
    whole,
)

if TYPE_CHECKING:
    from srfast.data.grid import Grid
    from srfast.runtime.progress import Progress
    from srfast.scoring.network import Network, Scorer

Scale = Literal[1, 2, 3, 4]
Mode = Literal["patch", "dense"]
Backend = Literal["auto", "native", "triton", "torch", "onnx"]
Precision = Literal["fp32", "fast"]
Loader = Literal["srfast", "dali"]
RunsOn = Literal["local", "ray"]
SCALES: tuple[int, ...] = get_args(Scale)
MODES: tuple[str, ...] = get_args(Mode)
BACKENDS: tuple[str, ...] = get_args(Backend)
PRECISIONS: tuple[str, ...] = get_args(Precision)
AUTO = "auto"
"""The value of ``shrink`` under which each image's own measures choose its sizes."""
TILE_OVERLAP = 32
"""LR pixels; what tools of the field take, and not exact for every network."""


def _shard(shard: Any) -> tuple[int, int]:
    """(i, n): i counts from 0 or from 1, so n/n is the shard 0/n."""
    if isinstance(shard, str):
        parts = shard.split("/")
        if len(parts) != 2 or not all(p.isascii() and p.isdigit() for p in parts):
            raise ValueError
        shard = tuple(map(int, parts))
    whole = [n for n in shard if isinstance(n, Integral) and not isinstance(n, bool)]
    if len(whole) != 2 or len(shard) != 2 or shard[1] < 1 or not 0 <= shard[0] <= shard[1]:
        raise ValueError
    return int(shard[0]), int(shard[1])


def _shrink(value: Any) -> tuple[str, ...]:
    if value in ("1", ("1",), AUTO, (AUTO,)):
        return (value,) if isinstance(value, str) else value
    from srfast.data.shrink import parsed  # NumPy, which a command's help need not wait for

    return parsed(value)


def allow_missing_shards() -> Any:
    """The setting ``allow_missing_shards``, which what reads score tables has."""
    help = "Continue if shards of the table are missing. Their images are left out, and the metadata list the shards."
    return setting(False, help, SWITCH)


ANY = Kind("a network", lambda value: value)
GRID = Kind("a whole number", lambda value: value, "whole")  # checked with the scale


@dataclass(frozen=True, kw_only=True)
class ScoreSettings(Settings):
    """The settings of ``srfast.score``."""

    scale: Scale = setting(
        2,
        "Super-resolution factor: the side of an HR image over that of its LR image. 1, with `lr_images`: restoration "
        "at the same size, where bicubic is the LR image itself.",
        one_of(*SCALES),
        compared=True,
    )
    patch: int = setting(96, "Side of a patch in HR pixels, a multiple of the scale.", GRID, compared=True)
    stride: int | None = setting(
        None, "Step of the grid in HR pixels, a multiple of the scale. The last patch of a row or column is flush "
        "with the border of the image.", GRID, shown="the side of a patch", compared=True,
    )  # fmt: skip
    mode: Mode = setting(
        "patch",
        "How patches are degraded. patch: each patch by itself, as the paper defines it. dense: each image is "
        "degraded and reconstructed once as a whole, and the loss of a patch is the mean of the error map over it.",
        one_of(*MODES),
        compared=True,
    )
    scorer: Scorer = setting(
        "srcnn",
        "Network that reconstructs the patches. srcnn: the SRCNN that comes with srfast. bicubic: bicubic "
        "interpolation, without a network. PATH: a file of weights (docs/models.md), the folder of a training, an "
        ".onnx file or FILE.py:NAME.",
        ANY,
        metavar="srcnn|bicubic|PATH",
        more="In Python it may also be a module or a function; see ``srfast.scoring.network.load_network``.",
        compared=True,
    )
    backend: Backend = setting(
        "auto",
        "Implementation that scores. auto takes the first that works. If you choose one that cannot run, the command "
        "ends with the reason.",
        one_of(*BACKENDS),
    )
    device: Device = device("scores")
    precision: Precision = setting(
        "fp32",
        "Arithmetic of the network, for the backends native and triton. fp32: float32. fast: integers on the CPU and "
        "float16 on the GPU; scores change slightly, and their ranking hardly at all (docs/results/agreement.md).",
        one_of(*PRECISIONS),
        compared=True,
    )
    loader: Loader = setting(
        "srfast",
        "Decoder of the images. srfast: the CPU. dali: NVIDIA DALI, for JPEG files on the GPU; the run ends if pixels "
        "differ from the CPU's by more than 0.5 grey levels on average or 16 anywhere.",
        one_of(*get_args(Loader)),
    )
    threads: int | None = setting(
        None, "Number of CPU threads that decode and score.", whole(1), shown="one per core", also=("--workers",)
    )
    shard: tuple[int, int] | None = setting(
        None,
        "Score only every n-th image, from the i-th on. i counts from 0 or from 1: 0/2 and 1/2 are all images, and so "
        "are 1/2 and 2/2. `srfast select` reads the n tables as one.",
        Kind("i/n with 0 <= i <= n and n >= 1", _shard), metavar="i/n",
    )  # fmt: skip
    skip_bad: bool = setting(False, "Leave out files that cannot be read, and list them in the table.", SWITCH)
    lr_images: str | os.PathLike[str] | None = setting(
        None,
        "Folder of LR images to use instead of making them. An LR image has the path of its HR image, the name "
        "that `lr_template` gives, any suffix, and the size of the HR image divided by the scale, rounded down.",
        path(),
        metavar="DIR",
        more="PyTorch scores them, or ONNX Runtime if the scorer is an .onnx file.",
        also=("--lr",),
        key="lr",
        compared=True,
    )
    lr_template: str = lr_template(compared=True)
    blockiness: bool = setting(
        False,
        "Add a column of JPEG block artefacts, from 0 to 100 % (docs/selection.md). Patches need a side of at least 9 "
        "pixels.",
        SWITCH,
        compared=True,
    )
    shrink: str | Sequence[str | float] = setting(
        ("1",),
        "Sizes at which each image is scored, as fractions of its own size, such as 1,3/4,1/2,1/3. The image is shrunk "
        "by bicubic interpolation with antialiasing; x, y and size are then in pixels of the shrunk image, and a "
        "column shrink holds the fraction. auto: with `defects`, each image at 1, 3/4, 1/2 and 1/3, as far as it is "
        "sharp there (docs/selection.md).",
        Kind("auto, or fractions of 1 such as 1,3/4,1/2, each once, of denominators up to 1000", _shrink),
        typed="1",
        metavar="auto|FRACTION,...",
        compared=True,
    )
    defects: bool = setting(
        False,
        "Add columns that measure the defects of a patch: noise, blur, upscaled, jpeg, blockiness, overlay, banding, "
        "clipped, border, halo and, with `lr_images`, shift and colour (docs/defects.md). A value is null where it "
        "cannot be known. Patches need a side of at least 32 pixels.",
        SWITCH,
        compared=True,
    )
    tile_overlap: int = setting(
        TILE_OVERLAP,
        "Number of LR pixels that a tile of a large image reads beyond its own at each side, a multiple of 16. It is "
        "used for networks whose receptive field is unknown, whose scores near the seams are approximate "
        "(docs/scoring.md).",
        whole(),
        compared=True,
    )

    def validate(self) -> None:
        super().validate()
        from srfast.data.grid import check_grid  # NumPy, which a command's help need not wait for

        object.__setattr__(self, "stride", self.patch if self.stride is None else self.stride)
        check_grid(self.scale, self.patch, self.step)
        check_same_size(self.scale, self.lr_images is not None, "`lr_images`")
        if self.scale == 1 and isinstance(self.scorer, str) and self.scorer.lower() == "srcnn":
            raise InputError(
                "scorer: expected bicubic or a network of yours with `scale` 1, got srcnn, whose weights "
                "are for 2, 3 and 4"
            )
        for name in ("patch", "stride"):
            object.__setattr__(self, name, int(getattr(self, name)))
        for name in [n for n in ("blockiness", "defects") if getattr(self, n)]:
            least = import_module(f"srfast.ops.{name}").SMALLEST
            if self.patch < least:
                raise InputError(f"{name}: expected a patch of at least {least} pixels, got {self.patch}")
        if self.shrink == (AUTO,) and not self.defects:
            raise InputError("shrink: auto chooses the sizes of an image by its defects, and needs `defects`")
        if self.several_sizes and self.lr_images is not None:
            raise InputError("shrink: expected 1 with `lr_images`, which exist only for whole images")
        if self.several_sizes and self.loader != "srfast":
            raise InputError(f"shrink: expected 1 with `loader` {self.loader}, which decodes images at full size only")
        if self.skip_bad and self.loader == "dali":
            raise InputError("loader: dali stops at a file that it cannot read", hint="leave `skip_bad` out")
        if self.lr_images is not None:
            from srfast.data.lowres import LowRes

            object.__setattr__(self, "lr_images", str(LowRes.open(self.lr_images, self.lr_template).folder))

    @property
    def step(self) -> int:
        """``stride``, resolved."""
        assert self.stride is not None
        return self.stride

    def grid(self, height: int, width: int) -> Grid:
        """The grid of the patches of an image."""
        from srfast.data.grid import Grid

        return Grid.over(height, width, self.scale, self.patch, self.step)

    @property
    def several_sizes(self) -> bool:
        """Whether the table has a column ``shrink``: another setting than just 1."""
        return tuple(self.shrink) != ("1",)

    def recorded(self, root: str, network: Network, backend: str, precision: str) -> dict[str, Any]:
        """The settings as a table's metadata record them; ``backend`` and ``precision`` are those that scored."""
        rule: dict[str, Any] = {}
        if self.shrink == (AUTO,):
            from srfast.scoring.defect_columns import RULE

            rule = {"shrink": RULE["sizes"], "shrink_rule": RULE}
        return {
            "root": root,
            "scale": self.scale,
            "patch": self.patch,
            "stride": self.stride,
            "mode": self.mode,
            "scorer": {"name": network.name, "sha256": network.sha256},
            "boundary": "symmetric",
            "precision": precision,
            "backend": backend,
            "shard": list(self.shard) if self.shard else None,
            **({"lr": self.lr_images, "lr_template": self.lr_template} if self.lr_images is not None else {}),
            **({"blockiness": True} if self.blockiness else {}),
            **({"shrink": list(self.shrink)} if self.several_sizes else {}),
            **rule,
            **({"defects": True} if self.defects else {}),
            **({"tile_overlap": self.tile_overlap} if self.tile_overlap != TILE_OVERLAP else {}),
        }


@dataclass(frozen=True, kw_only=True)
class ScoreRun(ScoreSettings):
    """The settings of ``srfast.score``, and those that concern one run only."""

    resume: bool | None = setting(
        False,
        "Continue an interrupted run. Images that have changed since, or whose LR images have, are scored again.",
        Kind("True or False", lambda value: value if value is None else SWITCH.convert(value), "flag"),
        more="None continues if the settings are the same, and begins anew otherwise.",
    )
    max_pixels: int | None = setting(
        None,
        "Pixels of the largest image that is read. For an image beyond the default, the memory that decoding takes is "
        "logged first. "
        "The environment variable SRFAST_MAX_PIXELS sets it for every command.",
        whole(1),
        shown="179 million",
        metavar="N",
    )
    progress: Progress | bool | None = progress("images done, images in all, patches scored")


@dataclass(frozen=True, kw_only=True)
class ScoreArguments(ScoreRun):
    """All arguments of ``srfast.score`` except the images."""

    output: str | os.PathLike[str] | None = setting(
        None,
        "Table to write, such as scores.parquet. A name that ends in / makes a folder of parts, which are not merged "
        "at the end. During the run, finished parts lie in OUTPUT.parts.",
        path(),
        more="None keeps the table in memory only.",
    )
    engine: RunsOn = setting(
        "local",
        "Where the work runs. local: on this machine. ray: on the actors of a Ray cluster, each with `threads` cores "
        "(default: 1) and, with CUDA, one GPU. Actors read the images by the same paths, and the table is the same.",
        one_of(*get_args(RunsOn)),
    )
    address: str | None = setting(
        None, "Address of the Ray cluster.", text("an address"), shown="RAY_ADDRESS, or a cluster on this machine",
        metavar="ADDRESS",
    )  # fmt: skip

    def validate(self) -> None:
        super().validate()
        if self.address is not None and self.engine != "ray":
            raise InputError(f"address: needs `engine` ray, got {self.engine!r}")
        if self.engine == "ray" and self.loader != "srfast":
            raise InputError(f"loader: expected srfast with `engine` ray, got {self.loader!r}")


COMPARED: tuple[str, ...] = (
    *(f.metadata.get("key", f.name) for f in fields(ScoreSettings) if f.metadata.get("compared")),
    "boundary",
    "shrink_rule",
)
"""Keys of the metadata that must agree among the shards of a table, and between a table and a run that resumes it."""
RESUMED = ("root", *COMPARED, "backend", "device", "decoder", "shard")
"""Keys of the metadata that must agree between a run and what it resumes."""

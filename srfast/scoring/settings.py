"""What a scoring run is: one list of settings, checked once, free of torch.

``srfast.score``, the command line's options, the metadata of a score table and what ``--resume`` and shards must agree
on are made from this list.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, get_args

from srfast.errors import InputError
from srfast.ops.device import DEVICES, Device
from srfast.settings import ONE, SWITCH, Kind, Settings, one_of, path, setting, text, whole

if TYPE_CHECKING:
    from srfast.runtime.progress import Progress
    from srfast.scoring.network import Network, Scorer

Scale = Literal[2, 3, 4]
Mode = Literal["patch", "dense"]
Backend = Literal["auto", "native", "triton", "torch", "onnx"]
Precision = Literal["fp32", "fast"]
Loader = Literal["srfast", "dali"]
Boundary = Literal["symmetric", "replicate"]
RunsOn = Literal["local", "ray"]
SCALES: tuple[int, ...] = get_args(Scale)
MODES: tuple[str, ...] = get_args(Mode)
BACKENDS: tuple[str, ...] = get_args(Backend)
PRECISIONS: tuple[str, ...] = get_args(Precision)
TILE_OVERLAP = 32
"""As many LR pixels as tools of the field take; not exact."""


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
    if value in ("1", ("1",)):
        return ("1",)
    from srfast.data.shrink import parsed  # NumPy, which a command's help need not wait for

    return parsed(value)


ANY = Kind("a network", lambda value: value)
GRID = Kind("a whole number", lambda value: value, "whole")  # checked with the scale


@dataclass(frozen=True, kw_only=True)
class ScoreSettings(Settings):
    """The settings of ``srfast.score``."""

    scale: Scale = setting(
        2, "How many times larger an HR image is than its LR image, on each side.", one_of(*SCALES), compared=True
    )
    patch: int = setting(96, "Side of a patch in HR pixels, a multiple of the scale.", GRID, compared=True)
    stride: int | None = setting(
        None, "Step of the grid in HR pixels, a multiple of the scale. The last window of a row or column is flush "
        "with the border of the image.", GRID, shown="the patch", compared=True,
    )  # fmt: skip
    mode: Mode = setting(
        "patch",
        "How patches are degraded. patch: each by itself, which is the paper's definition. dense: each image is "
        "degraded and reconstructed once, and a patch gets the mean of its part of the error map.",
        one_of(*MODES),
        compared=True,
    )
    scorer: Scorer = setting(
        "srcnn",
        "The network that reconstructs: srcnn is shipped, bicubic needs none, and a path is a file of weights "
        "(docs/models.md) or an .onnx file.",
        ANY,
        metavar="srcnn|bicubic|PATH",
        more="In Python also a module or function; see ``srfast.scoring.network.load_network``.",
        compared=True,
    )
    backend: Backend = setting(
        "auto",
        "The implementation that scores. auto takes the first that works; one that is named works, or the run ends "
        "with the reason.",
        one_of(*BACKENDS),
    )
    device: Device = setting("auto", "The device that scores. auto takes a GPU where there is one.", one_of(*DEVICES))
    precision: Precision = setting(
        "fp32",
        "Arithmetic of the network. fast: integers on CPUs and float16 on GPUs that have the instructions; the "
        "ranking hardly changes, the digits do (docs/agreement.md).",
        one_of(*PRECISIONS),
        compared=True,
    )
    boundary: Boundary = setting(
        "symmetric",
        "How resampling continues an image beyond its border: as MATLAB has done since R2015b (symmetric), or as it "
        "did before (replicate).",
        one_of(*get_args(Boundary)),
        compared=True,
    )
    loader: Loader = setting(
        "srfast",
        "What decodes the images. srfast: the CPU. dali: JPEG files on the GPU; the run ends where a pixel differs "
        "from the CPU's.",
        one_of(*get_args(Loader)),
    )
    threads: int | None = setting(
        None, "Number of CPU threads that decode and score.", whole(1), shown="one a core", old=("workers",)
    )
    shard: tuple[int, int] | None = setting(
        None, "Score every n-th image from the i-th on; select takes the n tables for one.",
        Kind("i/n with 0 <= i <= n and n >= 1", _shard), metavar="i/n",
    )  # fmt: skip
    skip_bad: bool = setting(False, "Go on after files that cannot be read, and list them in the table.", SWITCH)
    lr_images: str | os.PathLike[str] | None = setting(
        None,
        "Folder of LR images that exist already; without it they are made. Each has the path of its HR image, the name "
        "that `lr_template` gives, any suffix, and the size of the HR image divided by the scale, rounded down.",
        path(),
        metavar="DIR",
        more="Scored by torch, or by ONNX Runtime where the scorer is an .onnx file.",
        old=("lr",),
        also=("--lr",),
        key="lr",
        compared=True,
    )
    lr_template: str = setting(
        ONE,
        "Name of an LR image after its HR image's name without suffix, such as {}x4.",
        text("a name with {} in it"),
        compared=True,
    )
    blockiness: bool = setting(
        False,
        "Add a column of JPEG's block artefacts, from 0 to 100 % (docs/selection.md). Patches have at least 9 pixels.",
        SWITCH,
        compared=True,
    )
    shrink: str | Sequence[str | float] = setting(
        ("1",),
        "Sizes at which each image is scored, as fractions of its own size, such as 1,3/4,1/2,1/3. The image is made "
        "smaller by bicubic interpolation with antialiasing; x, y and size are then pixels of the smaller image, and "
        "the column shrink holds the fraction.",
        Kind("fractions of 1 such as 1,3/4,1/2, each once, of denominators up to 1000", _shrink),
        typed="1",
        metavar="FRACTION,...",
        compared=True,
    )
    defects: bool = setting(
        False,
        "Add columns of what is wrong with a patch: noise, blur, upscaled, jpeg, blockiness, overlay, banding, "
        "clipped, border, halo and, with `lr_images`, shift and colour (docs/defects.md). A value is null where it "
        "cannot be known. Patches have at least 32 pixels.",
        SWITCH,
        compared=True,
    )
    tile_overlap: int = setting(
        TILE_OVERLAP,
        "LR pixels that a tile of a large image reads beyond its own, a multiple of 16, where it is not known how far "
        "the network reaches; scores near the seams are then approximate (docs/scoring.md).",
        whole(),
        compared=True,
    )

    def together(self) -> None:
        super().together()
        from srfast.data.grid import check_grid  # NumPy, which a command's help need not wait for

        object.__setattr__(self, "stride", self.patch if self.stride is None else self.stride)
        check_grid(self.scale, self.patch, self.step)
        for name in ("patch", "stride"):
            object.__setattr__(self, name, int(getattr(self, name)))
        if self.blockiness:
            from srfast.ops.blockiness import SMALLEST

            if self.patch < SMALLEST:
                raise InputError(f"blockiness: expected a patch of at least {SMALLEST} pixels, got {self.patch}")
        if self.several_sizes and self.lr_images is not None:
            raise InputError("shrink: expected 1 with `lr_images`, which are there for the whole images alone")
        if self.several_sizes and self.loader != "srfast":
            raise InputError(f"shrink: expected 1 with `loader` {self.loader}, which gives images at full size")
        if self.defects:
            from srfast.ops.defects import SMALLEST as LEAST

            if self.patch < LEAST:
                raise InputError(f"defects: expected a patch of at least {LEAST} pixels, got {self.patch}")
        if self.lr_images is not None:
            from srfast.data.lowres import LowRes

            object.__setattr__(self, "lr_images", str(LowRes.open(self.lr_images, self.lr_template).folder))
        elif self.lr_template != ONE:
            raise InputError("lr_template: expected `lr_images` with it")

    @property
    def step(self) -> int:
        """``stride``, resolved."""
        assert self.stride is not None
        return self.stride

    @property
    def several_sizes(self) -> bool:
        """Whether the table has a column ``shrink``: another setting than just 1."""
        return tuple(self.shrink) != ("1",)

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
            **({"lr": self.lr_images, "lr_template": self.lr_template} if self.lr_images is not None else {}),
            **({"blockiness": True} if self.blockiness else {}),
            **({"shrink": list(self.shrink)} if self.several_sizes else {}),
            **({"defects": True} if self.defects else {}),
            **({"tile_overlap": self.tile_overlap} if self.tile_overlap != TILE_OVERLAP else {}),
        }


def _resume(value: Any) -> bool | None:
    return value if value is None else SWITCH.plain(value)


@dataclass(frozen=True, kw_only=True)
class ScoreRun(ScoreSettings):
    """The settings and what concerns one run."""

    resume: bool | None = setting(
        False,
        "Continue an interrupted run. Images that changed since, or whose LR images did, are scored again.",
        Kind("True or False", _resume, "flag"),
        more="None continues where the settings are the same, and else begins anew.",
    )
    progress: Progress | bool | None = setting(
        None,
        "True shows a bar; a function is called with (images done, images in all, patches scored).",
        ANY,
        python=True,
    )


@dataclass(frozen=True, kw_only=True)
class ScoreArguments(ScoreRun):
    """Everything that ``srfast.score`` takes beside the images."""

    output: str | os.PathLike[str] | None = setting(
        None,
        "The table to write, such as scores.parquet. A name that ends in / becomes a folder of parts, which needs no "
        "merge at the end. While it runs, finished parts lie in OUTPUT.parts.",
        path(),
        more="None keeps the table in memory only.",
    )
    engine: RunsOn = setting(
        "local",
        "What the work runs on. local: this machine. ray: the actors of a Ray cluster, each with `threads` cores (1) "
        "and, with CUDA, one GPU; they read the images by the same paths, and the table is the same.",
        one_of(*get_args(RunsOn)),
    )
    address: str | None = setting(
        None, "Address of the Ray cluster.", text("an address"), shown="RAY_ADDRESS, or a cluster on this machine",
        metavar="ADDRESS",
    )  # fmt: skip

    def together(self) -> None:
        super().together()
        if self.address is not None and self.engine != "ray":
            raise InputError(f"address: expected `engine` ray with it, got {self.engine!r}")
        if self.engine == "ray" and self.loader != "srfast":
            raise InputError(f"loader: expected srfast with `engine` ray, got {self.loader!r}")


COMPARED: tuple[str, ...] = tuple(
    f.metadata.get("key", f.name) for f in fields(ScoreSettings) if f.metadata.get("compared")
)
"""Metadata that must agree between tables that are put together, and between a table and a run that resumes it."""

"""What an evaluation is: its settings, declared once, free of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from srfast.errors import InputError
from srfast.ops.device import DEVICES, Device
from srfast.settings import ONE, Kind, PathLike, Settings, one_of, path, setting, text, whole

if TYPE_CHECKING:
    import numpy as np


def _scale(value: Any) -> int:
    """2, 3 or 4; a whole float is one too."""
    if isinstance(value, (bool, str, bytes)) or value not in (2, 3, 4):
        raise ValueError
    return int(value)


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(Settings):
    """The settings of ``srfast.evaluate``."""

    scale: Literal[2, 3, 4] | None = setting(
        None, "HR / LR.", Kind("2, 3 or 4", _scale, "whole"), shown="the model's, or 2 where it does not say it"
    )
    protocol: Literal["classic", "rgb"] | None = setting(
        None,
        "classic: float LR, Y rounded, what SRCNN and FSRCNN print. rgb: 8-bit LR, Y not rounded, what EDSR and SwinIR "
        "print. Numbers of the two are not comparable.",
        one_of("classic", "rgb"),
        shown="classic for Y models and bicubic, rgb for RGB models",
    )
    lr_images: PathLike | None = setting(
        None,
        "Folder of LR images to use instead of making them, each with the path of its HR image, up to endings such as "
        "x2, _LR, _HR or _SRF_2.",
        path(),
        metavar="DIR",
        old=("lr_data",),
    )
    lr_template: str = setting(
        ONE,
        "Name of an LR image after its HR image's name without suffix, such as {}x4.",
        text("a name with {} in it"),
    )
    tile: int | None = setting(
        None,
        "Side of a tile in LR pixels; 0 runs images whole.",
        whole(),
        shown="192 for large images where it is exact",
        metavar="N",
    )
    window: Literal["wang", "skimage"] = setting(
        "wang", "Window of SSIM: 11 x 11 Gaussian (wang), or scikit-image's 7 x 7 default.", one_of("wang", "skimage"),
        flag="--ssim",
    )  # fmt: skip
    device: Device = setting("auto", "Where it runs.", one_of(*DEVICES))
    inspect: Callable[[str, np.ndarray, np.ndarray], None] | None = setting(
        None,
        "Called with the name, SR and HR of every image, as ``srfast.psnr`` takes them.",
        Kind("a function", lambda value: value),
        python=True,
    )

    def together(self) -> None:
        super().together()
        if self.lr_template != ONE and self.lr_images is None:
            raise InputError("lr_template: expected `lr_images` with it")

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
        None,
        "How many times larger HR is than LR.",
        Kind("2, 3 or 4", _scale, "whole"),
        shown="the model's, or 2 where it does not say it",
    )
    protocol: Literal["classic", "rgb"] | None = setting(
        None,
        "How PSNR and SSIM are measured. classic: LR in floating point and Y rounded, as in the papers of SRCNN and "
        "FSRCNN. rgb: LR of 8 bits and Y not rounded, as in those of EDSR and SwinIR. Figures of the two are not "
        "comparable.",
        one_of("classic", "rgb"),
        shown="classic for Y models and bicubic, rgb for RGB models",
    )
    lr_images: PathLike | None = setting(
        None,
        "Folder of LR images that are used instead of making them, each with the path of its HR image, but for endings "
        "such as x2, _LR, _HR or _SRF_2.",
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
        "Side of the tiles that large images are run in, in LR pixels; 0 runs every image whole.",
        whole(),
        shown="192 for large images where it is exact",
        metavar="N",
    )
    window: Literal["wang", "skimage"] = setting(
        "wang", "Window of SSIM. wang: a Gaussian of 11 x 11; skimage: the 7 x 7 of scikit-image's default.",
        one_of("wang", "skimage"),
        flag="--ssim",
    )  # fmt: skip
    device: Device = setting(
        "auto", "The device that evaluates. auto takes a GPU where there is one.", one_of(*DEVICES)
    )
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

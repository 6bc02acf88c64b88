"""The settings of an evaluation, declared once, without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from srfast.degradation.settings import LARGEST_SEED, degradation
from srfast.errors import refuse
from srfast.ops.device import Device, device
from srfast.settings import PAIR_SCALE, Kind, PathLike, Settings, lr_template, one_of, path, setting, whole

if TYPE_CHECKING:
    import numpy as np

MEASURES = {
    "lpips": "LPIPS 0.1, AlexNet",
    "lpips-vgg": "LPIPS 0.1, VGG16",
    "dists": "DISTS, VGG16, at the image's size",
}
"""The perceptual measures, of all of which lower values are better."""


def _measures(value: Any) -> tuple[str, ...]:
    names = tuple(value.split(",") if isinstance(value, str) else value)
    if len(set(names)) < len(names) or not set(names) <= set(MEASURES):
        raise ValueError
    return names


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(Settings):
    """The settings of ``srfast.evaluate``."""

    scale: Literal[1, 2, 3, 4] | None = setting(
        None,
        "Super-resolution factor: 2, 3 or 4, or 1 with `lr_images` or `degradation`: restoration at the same size, "
        "where bicubic is the LR image itself.",
        PAIR_SCALE,
        shown="the model's, or 2 if the model does not say",
    )
    protocol: Literal["classic", "rgb"] | None = setting(
        None,
        "Protocol by which PSNR and SSIM are measured. classic: LR in floating point and Y rounded, as in the papers "
        "on SRCNN and FSRCNN. rgb: LR rounded to 8 bits and Y not rounded, as in the papers on EDSR and SwinIR. "
        "Figures of the two protocols are not comparable.",
        one_of("classic", "rgb"),
        shown="classic for Y models and bicubic, rgb for RGB models",
    )
    lr_images: PathLike | None = setting(
        None,
        "Folder of LR images to use instead of making them. An LR image has the path of its HR image, apart from "
        "endings such as x2, _LR, _HR or _SRF_2.",
        path(),
        metavar="DIR",
    )
    lr_template: str = lr_template()
    degradation: PathLike | None = degradation("Degradation that makes the LR images: its draw 0.", shown="bicubic")
    seed: int = setting(0, "Random seed of `degradation`, at least 0.", whole(most=LARGEST_SEED), needs="degradation")
    depth: Literal[8, 16] = setting(
        8, "Bits per channel with which images are read and SR is rounded. 16: PNG and TIFF files of 16 bits are read "
        "as they are, and others are stretched; needs the protocol rgb.", one_of(8, 16),
    )  # fmt: skip
    tile: int | None = setting(
        None,
        "Side of the tiles into which large images are cut, in LR pixels. With 0, every image runs whole.",
        whole(),
        shown="192 for large images if tiling is exact",
        metavar="N",
    )
    window: Literal["wang", "skimage"] = setting(
        "wang", "Window of SSIM. wang: a Gaussian of 11 x 11 pixels; skimage: 7 x 7 pixels, scikit-image's default.",
        one_of("wang", "skimage"),
        flag="--ssim",
    )  # fmt: skip
    measures: Sequence[str] = setting(
        (),
        "Perceptual measures by the protocol rgb: lpips (AlexNet), lpips-vgg and dists (docs/training.md). "
        "Lower is better. The border that PSNR leaves out is left out.",
        Kind("some of " + ", ".join(MEASURES) + ", each once, with commas between", _measures, choices=tuple(MEASURES)),
        metavar="NAME,...",
    )
    trunks: PathLike | None = setting(
        None,
        "Folder of torchvision's alexnet-*.pth and vgg16-*.pth, the networks below `measures`, or one such file.",
        path(),
        metavar="PATH",
        shown="PyTorch's cache; nothing is downloaded",
        needs="measures",
    )
    device: Device = device("evaluates")
    inspect: Callable[[str, np.ndarray, np.ndarray], None] | None = setting(
        None,
        "Function that is called with the name, SR and HR of every image, as ``srfast.psnr`` takes them.",
        Kind("a function", lambda value: value),
        python=True,
    )

    def validate(self) -> None:
        super().validate()
        made, given = self.degradation is not None, self.lr_images is not None
        refuse(
            (self.depth == 16 and made, "depth: expected 8 with `degradation`, which makes LR of 8 bits, got 16"),
            (given and made, "degradation: expected LR images that are made, got `lr_images` as well"),
        )

"""Written by ``python docs/stub.py``."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from srfast.coreset.rebuilding import Paths
from srfast.coreset.selection import Scores
from srfast.coreset.settings import Method
from srfast.coreset.settings import Own
from srfast.evaluation.evaluator import Model
from srfast.evaluation.evaluator import Paths as __Paths
from srfast.exporting.arrangement import Coreset
from srfast.models.registry import Buildable
from srfast.ops.device import Device
from srfast.runtime.progress import Progress
from srfast.scoring.network import Scorer
from srfast.scoring.pipeline import Images
from srfast.scoring.pipeline import Summary
from srfast.scoring.settings import Backend
from srfast.scoring.settings import Loader
from srfast.scoring.settings import Mode
from srfast.scoring.settings import Precision
from srfast.scoring.settings import RunsOn
from srfast.scoring.settings import Scale
from srfast.settings import PathLike
from srfast.training.settings import Data
from srfast.training.settings import Paths as ___Paths
from srfast.workflows.degrading import Paths as _Paths
from srfast.workflows.settings import Preset
from srfast.workflows.settings import Trainer
from typing import Any
from typing import Literal
import numpy
import os

from srfast import models as models
from srfast import samplers as samplers
from srfast.coreset.dataset import CorePatches as CorePatches
from srfast.coreset.duplicates import dedup as dedup
from srfast.coreset.influence import influence as influence
from srfast.coreset.joining import join as join
from srfast.coreset.publishing import Manifest as Manifest
from srfast.coreset.rebuilding import Rebuilt as Rebuilt
from srfast.coreset.selection import CoreSet as CoreSet
from srfast.coreset.settings import Column as Column
from srfast.errors import InputError as InputError
from srfast.errors import RunError as RunError
from srfast.evaluation.comparing import Contest as Contest
from srfast.evaluation.comparing import compare as compare
from srfast.evaluation.evaluator import Evaluation as Evaluation
from srfast.evaluation.inference import Comparison as Comparison
from srfast.evaluation.metrics import psnr as psnr
from srfast.evaluation.metrics import ssim as ssim
from srfast.exporting.job import Exported as Exported
from srfast.ops import reference as reference
from srfast.ops.functional import downsample as downsample
from srfast.ops.functional import imresize as imresize
from srfast.ops.functional import per_sample_mse as per_sample_mse
from srfast.ops.functional import upsample as upsample
from srfast.ops.native import build_info as build_info
from srfast.report.writing import write_report as write_report
from srfast.scoring.backends.onnx.graph import export_onnx as export_onnx
from srfast.scoring.patches import score_patches as score_patches
from srfast.scoring.statistics import stats as stats
from srfast.scoring.table import ScoreTable as ScoreTable
from srfast.study.runner import run_study as run_study
from srfast.training.loop import TrainResult as TrainResult
from srfast.workflows.auditing import Audited as Audited
from srfast.workflows.degrading import Degraded as Degraded
from srfast.workflows.pruning import Pruned as Pruned
from srfast.workflows.recommendation import Recommendation as Recommendation
from srfast.workflows.recommendation import recommend as recommend

__version__: str

def score(
    images: Images,
    *,
    scale: Scale = ...,
    patch: int = ...,
    stride: int | None = ...,
    mode: Mode = ...,
    scorer: Scorer = ...,
    backend: Backend = ...,
    device: Device = ...,
    precision: Precision = ...,
    loader: Loader = ...,
    threads: int | None = ...,
    shard: tuple[int, int] | None = ...,
    skip_bad: bool = ...,
    lr_images: str | os.PathLike[str] | None = ...,
    lr_template: str = ...,
    blockiness: bool = ...,
    shrink: str | Sequence[str | float] = ...,
    defects: bool = ...,
    tile_overlap: int = ...,
    resume: bool | None = ...,
    max_pixels: int | None = ...,
    progress: Progress | bool | None = ...,
    output: str | os.PathLike[str] | None = ...,
    engine: RunsOn = ...,
    address: str | None = ...,
) -> ScoreTable:
    """Scores every patch of a set of images (Moser, Raue, Dengel, 2024, Section 3).

    Args:
        images: Files and folders; folders are searched recursively. Images are read as by OpenCV's IMREAD_COLOR.
        scale: Super-resolution factor: the side of an HR image over that of its LR image. 1, with ``lr_images``:
            restoration at the same size, where bicubic is the LR image itself.
        patch: Side of a patch in HR pixels, a multiple of the scale.
        stride: Step of the grid in HR pixels, a multiple of the scale. The last patch of a row or column is flush with
            the border of the image.
        mode: How patches are degraded. patch: each patch by itself, as the paper defines it. dense: each image is
            degraded and reconstructed once as a whole, and the loss of a patch is the mean of the error map over it.
        scorer: Network that reconstructs the patches. srcnn: the SRCNN that comes with srfast. bicubic: bicubic
            interpolation, without a network. PATH: a file of weights (docs/models.md), the folder of a training, an
            .onnx file or FILE.py:NAME. In Python it may also be a module or a function; see
            ``srfast.scoring.network.load_network``.
        backend: Implementation that scores. auto takes the first that works. If you choose one that cannot run, the
            command ends with the reason.
        device: Device that scores. auto takes a GPU if there is one.
        precision: Arithmetic of the network, for the backends native and triton. fp32: float32. fast: integers on the
            CPU and float16 on the GPU; scores change slightly, and their ranking hardly at all
            (docs/results/agreement.md).
        loader: Decoder of the images. srfast: the CPU. dali: NVIDIA DALI, for JPEG files on the GPU; the run ends if
            pixels differ from the CPU's by more than 0.5 grey levels on average or 16 anywhere.
        threads: Number of CPU threads that decode and score.
        shard: Score only every n-th image, from the i-th on. i counts from 0 or from 1: 0/2 and 1/2 are all images, and
            so are 1/2 and 2/2. ``srfast select`` reads the n tables as one.
        skip_bad: Leave out files that cannot be read, and list them in the table.
        lr_images: Folder of LR images to use instead of making them. An LR image has the path of its HR image, the name
            that ``lr_template`` gives, any suffix, and the size of the HR image divided by the scale, rounded down.
            PyTorch scores them, or ONNX Runtime if the scorer is an .onnx file.
        lr_template: Name of an LR image, where {} stands for the name of its HR image without suffix, such as {}x4.
        blockiness: Add a column of JPEG block artefacts, from 0 to 100 % (docs/selection.md). Patches need a side of at
            least 9 pixels.
        shrink: Sizes at which each image is scored, as fractions of its own size, such as 1,3/4,1/2,1/3. The image is
            shrunk by bicubic interpolation with antialiasing; x, y and size are then in pixels of the shrunk image, and
            a column shrink holds the fraction. auto: with ``defects``, each image at 1, 3/4, 1/2 and 1/3, as far as it
            is sharp there (docs/selection.md).
        defects: Add columns that measure the defects of a patch: noise, blur, upscaled, jpeg, blockiness, overlay,
            banding, clipped, border, halo and, with ``lr_images``, shift and colour (docs/defects.md). A value is null
            where it cannot be known. Patches need a side of at least 32 pixels.
        tile_overlap: Number of LR pixels that a tile of a large image reads beyond its own at each side, a multiple of
            16. It is used for networks whose receptive field is unknown, whose scores near the seams are approximate
            (docs/scoring.md).
        resume: Continue an interrupted run. Images that have changed since, or whose LR images have, are scored again.
            None continues if the settings are the same, and begins anew otherwise.
        max_pixels: Pixels of the largest image that is read. For an image beyond the default, the memory that decoding
            takes is logged first. The environment variable SRFAST_MAX_PIXELS sets it for every command.
        progress: True shows a bar; a function is called with (images done, images in all, patches scored).
        output: Table to write, such as scores.parquet. A name that ends in / makes a folder of parts, which are not
            merged at the end. During the run, finished parts lie in OUTPUT.parts. None keeps the table in memory only.
        engine: Where the work runs. local: on this machine. ray: on the actors of a Ray cluster, each with ``threads``
            cores (default: 1) and, with CUDA, one GPU. Actors read the images by the same paths, and the table is the
            same.
        address: Address of the Ray cluster.

    Returns:
        The score table.

    Raises:
        InputError: an argument is wrong, a file is unreadable (without ``skip_bad``), no patch is found, or the run to
            resume was made with other settings.
        RunError: the backend cannot be used, or the disk is full.
    """

def select(
    scores: Scores,
    *,
    keep: float | None = ...,
    keep_loss: float | None = ...,
    order: Literal["des", "asc"] = ...,
    drop_hardest: float = ...,
    method: Literal["loss", "bicubic", "sobel", "reducible", "relative", "random", "stratified", "hdc", "diverse", "influence", "similar"] | Column | Own | Method = ...,
    max_per_image: int | None = ...,
    seed: int = ...,
    where: str | None = ...,
    window: tuple[float, float] | None = ...,
    flat_floor: float = ...,
    per_image: Literal["share", "even"] | None = ...,
    nms: float | None = ...,
    target: str | os.PathLike[str] | None = ...,
    clean: bool = ...,
    reject: str | os.PathLike[str] | None = ...,
    sizes: Literal["best", "all"] = ...,
    one_size: bool = ...,
    root: str | os.PathLike[str] | None = ...,
    engine: Literal["auto", "memory", "duckdb"] = ...,
    allow_missing_shards: bool = ...,
    progress: Progress | bool | None = ...,
) -> CoreSet:
    """Selects a core-set from scores.

    Args:
        scores: A score table or its path, or several (the shards of one dataset); a folder of parts is one table. A
            pandas DataFrame made by ``to_pandas`` is a table too; ``ScoreTable.with_rows`` makes one of any other.
        keep: Fraction r of the N patches to keep, 0 < r <= 1. round(r * N) patches are kept, half up, and at least one.
        keep_loss: Share F of the summed loss to keep, 0 < F <= 1, in place of ``keep``: patches are taken in the
            method's order until they hold it. The sum is over all patches that may be kept, without those of
            ``drop_hardest``. The patch that reaches F is kept. ``window``, ``nms``, ``max_per_image`` and ``sizes``
            limit what is kept, and do not change the sum.
        order: Which values are kept first. des: the highest; asc: the lowest.
        drop_hardest: Fraction of all patches, the hardest by loss, that is dropped before the selection, from 0 to
            below 1. 0.05 gives the paper's refined core-set. ``keep`` remains a fraction of all patches.
        method: Score to sort the patches by, or way to draw them. loss: the loss of the network (Moser et al.);
            bicubic: the loss of bicubic interpolation, without a network; sobel: the mean gradient (Ding et al.);
            reducible: bicubic - loss, which is what the network gains; relative: (bicubic - loss) / bicubic, which
            noise does not raise; random: a uniform draw; stratified: the same number from each of 20 loss quantiles;
            hdc: Sobel, then a draw from clusters of texture (Ding et al.); diverse: clusters of texture in turn,
            typical patches first; influence: the predicted decrease of the scorer's loss on ``target``
            (docs/influence.md); similar: the similarity of texture to ``target``; COLUMN: any numeric column of the
            table; FILE.py:NAME: a function of your own (docs/extending.md). In Python it may also be the function
            itself. docs/selection.md has the sources.
        max_per_image: Largest number of patches to keep of one image, at least 1; those that the method ranks first are
            kept.
        seed: Random seed of the methods that draw, at least 0.
        where: Condition that patches must meet, as SQL on the columns, for example 'bicubic > 0.5 and x < 2000'. All
            fractions are then of the patches that meet it.
        window: Range of ranks to choose from, as two fractions from 0 to 1, for example 0.05:0.55. The ranks are those
            of the method in ``order``, or those of the loss if the method does not sort.
        flat_floor: Fraction of the kept patches, from 0 to below 1, that is reserved for the easiest by loss, whatever
            the method.
        per_image: How to spread the kept patches over the images. share: the same share of every image; even: the same
            number from every image, as far as it has so many. From each image, those that the method ranks first are
            kept.
        nms: Largest overlap of two kept patches of an image, as intersection over union from 0 to below 1. Patches are
            taken greedily in the method's order.
        target: Images that the model should reconstruct well, a folder or a file; the methods influence and similar
            select for them.
        clean: Leave out patches with defects beyond the thresholds, and all patches of images that are beyond them as a
            whole (docs/defects.md). With -v the equivalent ``where`` is printed. The table needs the columns of
            ``score(defects=True)``.
        reject: List of patches and images to leave out, such as ``srfast audit`` writes: a CSV file with the columns
            image,x,y,size,reason, where empty x, y and size stand for the whole image.
        sizes: How to choose among several sizes of an image (``srfast score --shrink``). best: of patches at two sizes
            that overlap by more than half of the smaller one, only that which the method ranks first is kept; all:
            patches of all sizes may be kept.
        one_size: From each image, choose only among the patches of one size, the largest at which the image is no
            longer soft (docs/selection.md). All fractions are then of these patches.
        root: Folder of the images, if they have moved since scoring; the methods hdc, diverse, influence and similar
            read them.
        engine: Has no effect any more. Tables of every size are read in the same way, column by column.
        allow_missing_shards: Continue if shards of the table are missing. Their images are left out, and the metadata
            list the shards.
        progress: True shows a bar; a function is called with (rows written, rows in all, rows written).

    Returns:
        The core-set. Ties break by row order, and the same input and seed give the same rows. If ``max_per_image``,
        ``nms`` or ``sizes`` leave fewer patches than ``keep`` asks for, it holds those, and
        ``meta["selection"]["short"]`` says why. Patches that ``clean`` or ``reject`` leave out do not count among the N
        of the fractions; ``meta["selection"]`` gives their number for each reason under ``rejected``, and the condition
        that is equivalent to ``clean`` under ``cleaned``.

    Raises:
        InputError: an argument is out of range, tables do not belong together, shards are missing, no patch is left to
            keep, or ``drop_hardest`` and ``window`` leave fewer than ``keep``.
        RunError: ``where`` is given and duckdb is not installed.
    """

def export(
    coreset: Coreset,
    output: str | os.PathLike[str],
    *,
    to: Literal["folder", "basicsr", "lmdb", "hf", "webdataset", "list"] = ...,
    scale: Literal[1, 2, 3, 4] | None = ...,
    lr: bool = ...,
    degradation: PathLike | None = ...,
    draws: int = ...,
    seed: int = ...,
    depth: Literal[8, 16] = ...,
    channels: Literal[3, 1] = ...,
    format: Literal["png", "webp"] = ...,
    embed: bool = ...,
    root: PathLike | None = ...,
    lr_root: PathLike | None = ...,
    existing: PathLike | None = ...,
    existing_lr: PathLike | None = ...,
    threads: int | None = ...,
    check: bool = ...,
    resume: bool = ...,
    progress: Progress | bool | None = ...,
) -> Exported:
    """Writes a core-set as files that a trainer reads; the pairs are those of ``CorePatches``.

    During the export, finished files lie in ``<output>.parts``, which becomes ``output`` when it is complete. The files
    of the dataset are not moved or changed.

    Args:
        coreset: The result of ``srfast.select``, an Arrow table, or the path of coreset.parquet.
        output: The folder to make; it must not exist, or must be empty.
        to: Format to write. folder: HR/ and LRx2/ with the same names (KAIR, traiNNer-redux, neosr, BasicSR); basicsr:
            the same with meta_info.txt; lmdb: HR.lmdb/ and LRx2.lmdb/ (BasicSR, neosr); hf: an imagefolder with
            metadata.parquet (Hugging Face datasets); webdataset: numbered .tar shards; list: coreset.txt, which lists
            the patches without cropping them. Installed packages may add formats (docs/extending.md).
        scale: Super-resolution factor: the side of an HR patch over that of its LR patch. It must divide the side and
            the positions of the patches. 1: restoration at the same size, of the LR images that were scored or of a
            degradation.
        lr: Whether LR patches are written too. They are cropped from the LR version of the whole image: the one that
            was scored, or that of MATLAB's imresize.
        degradation: Degradation that makes the LR patches, in place of bicubic or of the LR images that were scored. A
            TOML file, or bicubic, realesrgan, neosr or redux.
        draws: Number of LR patches for each HR patch, each degraded with its own random draw. With several, names end
            in _d0, _d1, ...
        seed: Random seed of ``degradation``, at least 0.
        depth: Bits per channel of the patches. 16: PNG and TIFF files of 16 bits are read as they are, and others are
            stretched to that range; PNG only.
        channels: Channels of the patches. 1: gray images are written as gray, and others are refused; PNG only.
        format: File format of the patches; both are lossless.
        embed: With ``to`` hf, write the images into the parquet files, not beside them.
        root: Folder of the images, if they have moved since scoring.
        lr_root: Folder of the LR images that were scored, if they have moved since.
        existing: Database (with ``to`` lmdb) or folder (with ``to`` folder, basicsr or list) that already holds the HR
            patches, from srfast or from BasicSR's scripts. They are hard-linked or listed, and not encoded again.
        existing_lr: Database or folder that already holds the LR patches, of any degradation.
        threads: Number of CPU threads that crop and encode.
        check: Read everything back as the trainer does before the output appears, and compare a sample with its source.
        resume: Continue an interrupted export with the same settings.
        progress: True shows a bar; a function is called with (images done, images in all, patches written).

    Returns:
        The numbers of patches and images, and the configuration for each trainer that reads the format, which is also
        written into the folder.

    Raises:
        InputError: an argument is wrong, an image is missing or has changed since it was scored, the output exists, or
            the export to resume was made with other settings, of images in another state or of other columns.
        RunError: the disk is full, a package is missing, or the check failed.
    """

def manifest(
    coreset: CoreSet | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    name: str | None = ...,
    licence: str | None = ...,
    url: str | None = ...,
    creator: str | None = ...,
    published: str | None = ...,
    source: tuple[str, ...] = ...,
    rejects: str | os.PathLike[str] | None = ...,
    degradation: str | os.PathLike[str] | None = ...,
    run: tuple[str, ...] = ...,
    root: str | os.PathLike[str] | None = ...,
    progress: Progress | bool | None = ...,
) -> Manifest:
    """Writes which images and patches a core-set holds, by hash and without pixels, as a folder to publish.

    ``srfast.rebuild`` makes the core-set again from the images, whatever their names. The files grow in
    ``<output>.parts``; an interrupted run continues from there when it is started again.

    Args:
        coreset: The core-set or its path.
        output: The folder to make; it must not exist, or must be empty.
        name: Name of the selection.
        licence: Licence of the selection, by its URL or name. It does not apply to the images.
        url: Address at which the selection is published.
        creator: Who made the selection.
        published: Date of publication, such as 2026-01-31.
        source: Where the images are from: DATASET=URL for all of them, or a CSV file with the columns image, dataset,
            version, licence and url, where image is the path of an image or the beginning of it. Repeatable.
        rejects: List of rejects, as ``audit`` writes it, whose images are published by hash with their reasons.
        degradation: The degradation.parquet of an export, whose draws are published too.
        run: Folder of a training, or JSON of an evaluation, whose settings and numbers are published. Repeatable.
        root: Folder of the images, if they have moved since scoring.
        progress: True shows a bar; a function is called with (images done, images in all, patches).

    Returns:
        The root hash and the numbers of images and patches.

    Raises:
        InputError: an argument is wrong, the output exists, or an image is missing or has changed since it was scored.
        RunError: the disk is full.
    """

def rebuild(
    manifest: str | os.PathLike[str],
    images: Paths,
    *,
    output: str | os.PathLike[str] | None = ...,
    partial: bool = ...,
    verify: bool = ...,
    progress: Progress | bool | None = ...,
) -> Rebuilt:
    """Makes the core-set of a manifest from copies of its images, whatever their names, and verifies every patch.

    Args:
        manifest: The folder of the manifest.
        images: Files and folders in which the images are looked for; folders are searched recursively.
        output: Core-set to write, such as coreset.parquet.
        partial: Continue without the images that are missing or differ from the manifest, and record them.
        verify: Check the images only; nothing is written.
        progress: True shows a bar; a function is called with (images done, images in all, patches).

    Returns:
        The core-set, whose root is the closest folder that holds all of ``images`` and whose names are those that were
        found, and the problems that ``partial`` or ``verify`` passed over.

    Raises:
        KeyboardInterrupt: the run was interrupted; the same call continues from there.
        InputError: the manifest is damaged, or images are missing, have other pixels or occur twice, without
        ``partial``; the exception's ``rebuilt`` lists them.
        RunError: the disk is full.
    """

def degrade(
    images: _Paths,
    output: str | os.PathLike[str] | None = ...,
    *,
    degradation: PathLike | None = ...,
    scale: int = ...,
    seed: int = ...,
    draws: int = ...,
    threads: int | None = ...,
    show: PathLike | None = ...,
    progress: Progress | bool | None = ...,
) -> Degraded:
    """Writes LR images of HR images, the same bytes for everyone who has the images, the degradation and the seed.

    Each LR image lies where its HR image lies below the folder of the images, as PNG; with several draws, -0, -1, ...
    follow the name. ``degradation.parquet`` beside them says what was drawn for each. The files lie in
    ``<output>.parts`` until all are written.

    Args:
        images: Files or folders of HR images.
        output: The folder to make; it must not exist, or must be empty. None writes the page ``show`` only.
        degradation: How LR images are made. A TOML file, or bicubic, realesrgan, neosr or redux.
        scale: Side of an HR image over that of its LR image, 1 to 8. Images are cropped at the right and the bottom to
            a multiple of it.
        seed: Random seed of the draws, at least 0.
        draws: Number of LR images for each image.
        threads: Number of CPU threads; the images do not depend on it.
        show: HTML page to write as well: draws beside the originals, with their settings in words.
        progress: True shows a bar; a function is called with (images done, images in all, LR images written).

    Returns:
        The numbers of images, and the table of the draws.

    Raises:
        InputError: an argument is wrong, the degradation is not one, an image cannot be read, two images would have one
            name, or the output exists.
        RunError: the disk is full.
    """

def evaluate(
    model: Model,
    data: __Paths,
    *,
    scale: Literal[1, 2, 3, 4] | None = ...,
    protocol: Literal["classic", "rgb"] | None = ...,
    lr_images: PathLike | None = ...,
    lr_template: str = ...,
    degradation: PathLike | None = ...,
    seed: int = ...,
    depth: Literal[8, 16] = ...,
    tile: int | None = ...,
    window: Literal["wang", "skimage"] = ...,
    measures: Sequence[Literal["lpips", "lpips-vgg", "dists"]] = ...,
    trunks: PathLike | None = ...,
    device: Device = ...,
    inspect: Callable[[str, numpy.ndarray, numpy.ndarray], None] | None = ...,
) -> Evaluation:
    """Super-resolves images and compares them with the originals, without a border of ``scale`` pixels.

    * ``classic``: Y = rgb2ycbcr(uint8), rounded. The LR image is imresize of Y in floating point, not quantised. SR is
      rounded to uint8 (bicubic is clamped to 16..235 first, as in VDSR's code). The values of a gray image are Y, and a
      given LR image is gray or RGB as its HR image is.
    * ``rgb``: The LR image is imresize of the uint8 RGB image, in 8 bits. SR is rounded to uint8 RGB. Y of both is in
      double precision, not rounded. A gray image is an RGB image with equal planes.

    Images are cropped, right and bottom, to a multiple of the scale. Under ``rgb``, a Y model reconstructs Y, and
    chroma is up-sampled bicubically. Under ``classic``, an RGB model gets RGB in floating point, and Y is computed from
    its rounded output.

    Args:
        model: "bicubic", "srcnn" (the shipped weights), the path of a checkpoint or weights file (.safetensors, .pt,
            .pth; of srfast, or others that spandrel knows), the folder of a training, a module that takes LR [1, C, h,
            w] in [0, 1], C = 1 (Y) or 3 (RGB), its class, which is called with the scale, or FILE.py:NAME.
        data: Files or folders of HR images.
        scale: Super-resolution factor: 2, 3 or 4, or 1 with ``lr_images`` or ``degradation``: restoration at the same
            size, where bicubic is the LR image itself.
        protocol: Protocol by which PSNR and SSIM are measured. classic: LR in floating point and Y rounded, as in the
            papers on SRCNN and FSRCNN. rgb: LR rounded to 8 bits and Y not rounded, as in the papers on EDSR and
            SwinIR. Figures of the two protocols are not comparable.
        lr_images: Folder of LR images to use instead of making them. An LR image has the path of its HR image, apart
            from endings such as x2, _LR, _HR or _SRF_2.
        lr_template: Name of an LR image, where {} stands for the name of its HR image without suffix, such as {}x4.
        degradation: Degradation that makes the LR images: its draw 0. A TOML file, or bicubic, realesrgan, neosr or
            redux.
        seed: Random seed of ``degradation``, at least 0.
        depth: Bits per channel with which images are read and SR is rounded. 16: PNG and TIFF files of 16 bits are read
            as they are, and others are stretched; needs the protocol rgb.
        tile: Side of the tiles into which large images are cut, in LR pixels. With 0, every image runs whole.
        window: Window of SSIM. wang: a Gaussian of 11 x 11 pixels; skimage: 7 x 7 pixels, scikit-image's default.
        measures: Perceptual measures by the protocol rgb: lpips (AlexNet), lpips-vgg and dists (docs/training.md).
            Lower is better. The border that PSNR leaves out is left out.
        trunks: Folder of torchvision's alexnet-*.pth and vgg16-*.pth, the networks below ``measures``, or one such
            file.
        device: Device that evaluates. auto takes a GPU if there is one.
        inspect: Function that is called with the name, SR and HR of every image, as ``srfast.psnr`` takes them.

    Returns:
        PSNR and SSIM of each image and their means, with the protocol and the scale.

    Raises:
        InputError: the model, protocol or scale is unknown, there are no images, a file cannot be read, or an LR image
            is missing, has the wrong size or belongs to two HR images.
        RunError: a dependency is missing.
    """

def train(
    model: Buildable | os.PathLike[str] | None = ...,
    data: Data | None = ...,
    output: str | os.PathLike[str] | None = ...,
    *,
    resume: bool = ...,
    quiet: bool = ...,
    say: Callable[[str], None] | None = ...,
    loss: Literal["l1", "mse", "euclidean"] = ...,
    optimizer: Literal["adam", "soap", "sgd"] = ...,
    lr: float = ...,
    betas: tuple[float, float] = ...,
    momentum: float = ...,
    weight_decay: float = ...,
    schedule: Literal["halving", "cosine"] = ...,
    milestones: tuple[float, ...] = ...,
    decay: float = ...,
    warmup: float = ...,
    lr_factors: Mapping[str, float] = ...,
    clip: float = ...,
    clip_by_rate: bool = ...,
    ema: float = ...,
    loss_border: int = ...,
    fp32_tail: float = ...,
    batch: int = ...,
    lr_patch: int = ...,
    quantise: bool = ...,
    channels_last: bool = ...,
    scale: Literal[1, 2, 3, 4] = ...,
    steps: int | None = ...,
    epochs: float | None = ...,
    match_steps: bool = ...,
    seed: int = ...,
    init: PathLike | None = ...,
    model_options: Mapping[str, Any] = ...,
    rescale: Sequence[float] = ...,
    grow: int = ...,
    root: PathLike | None = ...,
    lr_images: PathLike | None = ...,
    lr_template: str = ...,
    degradation: PathLike | None = ...,
    depth: Literal[8, 16] = ...,
    recipe: Literal["default", "paper"] = ...,
    precision: Literal["fp32", "bf16", "fp16"] = ...,
    device: Device = ...,
    threads: int | None = ...,
    cache_mb: int = ...,
    eval_data: ___Paths = ...,
    eval_lr_images: PathLike | None = ...,
    eval_protocol: Literal["classic", "rgb"] | None = ...,
    eval_ssim: Literal["wang", "skimage"] = ...,
    eval_every: int = ...,
    log_every: int = ...,
    save_every: int = ...,
) -> TrainResult:
    """Trains a model, as ``srfast train`` does.

    Args:
        model: A name of ``srfast.models.names()``, FILE.py:NAME, or a class or function that takes the scale and
            returns a module. Or a module, which is trained in place: it starts with its weights and ends with those of
            model.safetensors. Or a file of weights or the folder of a training, with whose weights a training of the
            same network starts. With ``resume``, None takes the run's; what is only in memory is passed again.
        data: Images and folders of them, or one core-set or score table: its path, a folder of its parts, or itself.
            With ``resume``, None takes the run's.
        output: Folder of the run, for last.pt, model.safetensors, log.csv and run.json, which holds these arguments.
        loss: Loss that is minimised. l1 and mse: the mean over all values; euclidean: half the squared error, summed
            over each crop and averaged over the crops, as in Caffe.
        optimizer: Optimiser.
        lr: Highest learning rate of the schedule.
        betas: Decays of the averages of adam and soap, two numbers from 0 to below 1.
        momentum: Momentum of sgd, from 0 to below 1.
        weight_decay: Factor by which the weights are added to their gradients, for adam and sgd.
        schedule: Schedule of the learning rate. halving: multiplied by ``decay`` at ``milestones``; cosine: falls to 0
            along a cosine.
        milestones: Fractions of the steps, from 0 to 1, at which the schedule halving multiplies the learning rate by
            ``decay``.
        decay: Factor by which the learning rate is multiplied at a milestone.
        warmup: Fraction of the steps, from 0 to below 1, during which the learning rate rises from 0.
        lr_factors: Factor of the learning rate for parameters whose name begins with NAME or matches it as a pattern
            such as *.bias; 0 freezes them. Repeatable.
        clip: Norm to which larger gradients are clipped. With 0, gradients are not clipped.
        clip_by_rate: Divide ``clip`` by the learning rate of the step: adjustable gradient clipping (DRRN, Section
            4.1).
        ema: Decay of the exponential moving average of the weights, from 0 to below 1. The averaged weights are
            evaluated and saved as the model; with 0, the last weights are.
        loss_border: Number of LR pixels at each side of a crop that the loss leaves out, since padding affects them.
        fp32_tail: Fraction of the steps, the last ones, that are computed in fp32 whatever the precision.
        batch: Number of crops per step, over all processes.
        lr_patch: Side of a crop in LR pixels.
        quantise: Whether LR crops are rounded to 8 bits, as images in files are, or remain floating point, as in the
            classic protocol.
        channels_last: Whether weights and activations lie in memory with channels last.
        scale: Super-resolution factor: the side of an HR image over that of its LR image. 1: restoration at the same
            size, of LR images that exist or of a degradation.
        steps: Number of optimiser updates.
        epochs: Number of passes over the data, instead of ``steps``. A pass draws one crop for every patch, so that a
            smaller core-set gets fewer updates; an image counts as the crops that fit side by side in it.
        match_steps: With ``epochs``, make as many updates as for that many passes over the whole dataset from which the
            core-set was chosen.
        seed: Random seed of the weights, the crops and everything else, at least 0.
        init: File of weights to start from, written by srfast or by the network's authors. If it is for another scale,
            the weights that fit are taken.
        model_options: Size of the model that differs from the paper's, such as blocks=8. Repeatable.
        rescale: Also train on copies of the images shrunk by these factors between 0 and 1, such as 0.9,0.8,0.7,0.6.
        grow: Number of HR pixels by which a crop may reach beyond its patch of a core-set at each side. With 0, a crop
            as large as its patch has only one position.
        root: Folder of the images, if they have moved since scoring.
        lr_images: Folder of LR images to use instead of making them. An LR image has the path that its HR image has
            below the folder of the data.
        lr_template: Name of an LR image, where {} stands for the name of its HR image without suffix, such as {}x4.
        degradation: Degradation that makes LR images, with a fresh draw in each pass over the data, by ``seed``;
            evaluations take draw 0. A TOML file, or bicubic, realesrgan, neosr or redux.
        depth: Bits per channel with which images are read, in the training and its evaluations; 16 as in ``srfast
            export``.
        recipe: Recipe to train by. default: that of this help. paper: the paper's own optimiser, for srcnn, fsrcnn,
            drrn and idn.
        precision: Precision of autocast; the weights remain fp32.
        device: Device that trains. auto takes a GPU if there is one.
        threads: Number of CPU threads that compute and read images.
        cache_mb: Memory for decoded images in MiB; images that do not fit are read again whenever they are drawn.
        eval_data: HR images, or folders of them, to evaluate the model on. Repeatable.
        eval_lr_images: Folder of the LR images of ``eval_data``, as for ``srfast eval --lr-images``.
        eval_protocol: Protocol of the evaluation; ``srfast eval --help`` describes both.
        eval_ssim: Window of SSIM; ``srfast eval --help`` describes both.
        eval_every: Number of updates between evaluations. With 0, the model is evaluated at the end only.
        log_every: Number of updates between rows of log.csv.
        save_every: Number of updates between checkpoints.
        resume: Continue the run in the output folder, if there is one, with its settings. The model, the data and the
            other settings need not be given again, and ``steps`` may grow.
        quiet: Whether to show no progress on stderr.
        say: Function that is called with each line of text for a person.

    Returns:
        The last step, its loss, the weights' path, and PSNR and SSIM if the model was evaluated.

    Raises:
        InputError: an argument is wrong, unknown or different from the resumed run's, there are no images, or the
            folder holds a run and ``resume`` is False.
        RunError: the loss is no longer finite, or a dependency is missing.
    """

def prune(
    images: Images,
    output: str | os.PathLike[str],
    *,
    keep: float | None = ...,
    keep_loss: float | None = ...,
    order: Literal["des", "asc"] = ...,
    drop_hardest: float = ...,
    method: Literal["loss", "bicubic", "sobel", "reducible", "relative", "random", "stratified", "hdc", "diverse", "influence", "similar"] | Column | Own | Method = ...,
    max_per_image: int | None = ...,
    seed: int = ...,
    where: str | None = ...,
    window: tuple[float, float] | None = ...,
    flat_floor: float = ...,
    per_image: Literal["share", "even"] | None = ...,
    nms: float | None = ...,
    target: str | os.PathLike[str] | None = ...,
    clean: bool | None = ...,
    reject: str | os.PathLike[str] | None = ...,
    sizes: Literal["best", "all"] = ...,
    one_size: bool = ...,
    scale: Scale = ...,
    patch: int = ...,
    stride: int | None = ...,
    mode: Mode = ...,
    scorer: Scorer = ...,
    backend: Backend = ...,
    device: Device = ...,
    precision: Precision = ...,
    loader: Loader = ...,
    threads: int | None = ...,
    shard: tuple[int, int] | None = ...,
    skip_bad: bool = ...,
    lr_images: str | os.PathLike[str] | None = ...,
    lr_template: str = ...,
    blockiness: bool = ...,
    shrink: str | Sequence[str | float] = ...,
    defects: bool = ...,
    tile_overlap: int = ...,
    resume: bool | None = ...,
    max_pixels: int | None = ...,
    progress: Progress | bool | None = ...,
    preset: Preset | None = ...,
    quick: bool = ...,
    against: tuple[str | os.PathLike[str], ...] = ...,
    trainer: Trainer | None = ...,
    scored: Callable[[Summary], None] | None = ...,
) -> Pruned:
    """Decides what of a set of images is worth training on, and writes it, as ``srfast prune`` does.

    Images with defects, copies and, with ``against``, test images are left out; each image is taken at the sizes
    at which it is sharp; the hardest patches are kept that hold a fixed share of the error
    (``srfast.recommend``). Every argument that is given overrides its part of the decision.

    Args:
        images: Files and folders, as for ``srfast.score``.
        output: Folder for scores.parquet, coreset.parquet, report.html, audit.html, images.csv and rejects.csv. Each
            file appears whole or not at all. Existing scores of the same images and settings are used again, and an
            edited rejects.csv is followed.
        keep: Fraction r of the N patches to keep, 0 < r <= 1. round(r * N) patches are kept, half up, and at least one.
        keep_loss: Share F of the summed loss to keep, 0 < F <= 1, in place of ``keep``: patches are taken in the
            method's order until they hold it. The sum is over all patches that may be kept, without those of
            ``drop_hardest``. The patch that reaches F is kept. ``window``, ``nms``, ``max_per_image`` and ``sizes``
            limit what is kept, and do not change the sum.
        order: Which values are kept first. des: the highest; asc: the lowest.
        drop_hardest: Fraction of all patches, the hardest by loss, that is dropped before the selection, from 0 to
            below 1. 0.05 gives the paper's refined core-set. ``keep`` remains a fraction of all patches.
        method: Score to sort the patches by, or way to draw them. loss: the loss of the network (Moser et al.);
            bicubic: the loss of bicubic interpolation, without a network; sobel: the mean gradient (Ding et al.);
            reducible: bicubic - loss, which is what the network gains; relative: (bicubic - loss) / bicubic, which
            noise does not raise; random: a uniform draw; stratified: the same number from each of 20 loss quantiles;
            hdc: Sobel, then a draw from clusters of texture (Ding et al.); diverse: clusters of texture in turn,
            typical patches first; influence: the predicted decrease of the scorer's loss on ``target``
            (docs/influence.md); similar: the similarity of texture to ``target``; COLUMN: any numeric column of the
            table; FILE.py:NAME: a function of your own (docs/extending.md). In Python it may also be the function
            itself. docs/selection.md has the sources.
        max_per_image: Largest number of patches to keep of one image, at least 1; those that the method ranks first are
            kept.
        seed: Random seed of the methods that draw, at least 0.
        where: Condition that patches must meet, as SQL on the columns, for example 'bicubic > 0.5 and x < 2000'. All
            fractions are then of the patches that meet it.
        window: Range of ranks to choose from, as two fractions from 0 to 1, for example 0.05:0.55. The ranks are those
            of the method in ``order``, or those of the loss if the method does not sort.
        flat_floor: Fraction of the kept patches, from 0 to below 1, that is reserved for the easiest by loss, whatever
            the method.
        per_image: How to spread the kept patches over the images. share: the same share of every image; even: the same
            number from every image, as far as it has so many. From each image, those that the method ranks first are
            kept.
        nms: Largest overlap of two kept patches of an image, as intersection over union from 0 to below 1. Patches are
            taken greedily in the method's order.
        target: Images that the model should reconstruct well, a folder or a file; the methods influence and similar
            select for them.
        clean: Leave out images and patches beyond the limits of the defects, and copies of other images.
        reject: List of patches and images to leave out, such as ``srfast audit`` writes: a CSV file with the columns
            image,x,y,size,reason, where empty x, y and size stand for the whole image.
        sizes: How to choose among several sizes of an image (``srfast score --shrink``). best: of patches at two sizes
            that overlap by more than half of the smaller one, only that which the method ranks first is kept; all:
            patches of all sizes may be kept.
        one_size: From each image, choose only among the patches of one size, the largest at which the image is no
            longer soft (docs/selection.md). All fractions are then of these patches.
        scale: Super-resolution factor: the side of an HR image over that of its LR image. 1, with ``lr_images``:
            restoration at the same size, where bicubic is the LR image itself.
        patch: Side of a patch in HR pixels, a multiple of the scale.
        stride: Step of the grid in HR pixels, a multiple of the scale. The last patch of a row or column is flush with
            the border of the image.
        mode: How patches are degraded. patch: each patch by itself, as the paper defines it. dense: each image is
            degraded and reconstructed once as a whole, and the loss of a patch is the mean of the error map over it.
        scorer: Network that reconstructs the patches. srcnn: the SRCNN that comes with srfast. bicubic: bicubic
            interpolation, without a network. PATH: a file of weights (docs/models.md), the folder of a training, an
            .onnx file or FILE.py:NAME. In Python it may also be a module or a function; see
            ``srfast.scoring.network.load_network``.
        backend: Implementation that scores. auto takes the first that works. If you choose one that cannot run, the
            command ends with the reason.
        device: Device that scores. auto takes a GPU if there is one.
        precision: Arithmetic of the network, for the backends native and triton. fp32: float32. fast: integers on the
            CPU and float16 on the GPU; scores change slightly, and their ranking hardly at all
            (docs/results/agreement.md).
        loader: Decoder of the images. srfast: the CPU. dali: NVIDIA DALI, for JPEG files on the GPU; the run ends if
            pixels differ from the CPU's by more than 0.5 grey levels on average or 16 anywhere.
        threads: Number of CPU threads that decode and score.
        shard: Score only every n-th image, from the i-th on. i counts from 0 or from 1: 0/2 and 1/2 are all images, and
            so are 1/2 and 2/2. ``srfast select`` reads the n tables as one.
        skip_bad: Leave out files that cannot be read, and list them in the table.
        lr_images: Folder of LR images to use instead of making them. An LR image has the path of its HR image, the name
            that ``lr_template`` gives, any suffix, and the size of the HR image divided by the scale, rounded down.
            PyTorch scores them, or ONNX Runtime if the scorer is an .onnx file.
        lr_template: Name of an LR image, where {} stands for the name of its HR image without suffix, such as {}x4.
        blockiness: Add a column of JPEG block artefacts, from 0 to 100 % (docs/selection.md). Patches need a side of at
            least 9 pixels.
        shrink: Sizes at which each image is scored, as fractions of its own size, such as 1,3/4,1/2,1/3. The image is
            shrunk by bicubic interpolation with antialiasing; x, y and size are then in pixels of the shrunk image, and
            a column shrink holds the fraction. auto: with ``defects``, each image at 1, 3/4, 1/2 and 1/3, as far as it
            is sharp there (docs/selection.md).
        defects: Add columns that measure the defects of a patch: noise, blur, upscaled, jpeg, blockiness, overlay,
            banding, clipped, border, halo and, with ``lr_images``, shift and colour (docs/defects.md). A value is null
            where it cannot be known. Patches need a side of at least 32 pixels.
        tile_overlap: Number of LR pixels that a tile of a large image reads beyond its own at each side, a multiple of
            16. It is used for networks whose receptive field is unknown, whose scores near the seams are approximate
            (docs/scoring.md).
        resume: Continue an interrupted run. Images that have changed since, or whose LR images have, are scored again.
            None continues if the settings are the same, and begins anew otherwise.
        max_pixels: Pixels of the largest image that is read. For an image beyond the default, the memory that decoding
            takes is logged first. The environment variable SRFAST_MAX_PIXELS sets it for every command.
        progress: True shows a bar; a function is called with (images done, images in all, patches scored).
        preset: Fixed settings instead of the decision. paper: as in the paper, nothing is left out, each patch is
            scored by itself at full size, and the hardest half is kept.
        quick: Rank patches by bicubic error, without the network.
        against: Test images, or folders of them; copies of them are left out. Repeatable.
        trainer: Also write the pairs and a whole configuration for this trainer: traiNNer-redux or neosr.
        scored: Function that is called with the summary of the scores when they are written.

    Returns:
        The folder, the summary of the scores, the core-set, the decision and the path of the report.

    Raises:
        InputError: ``srfast.score`` or ``srfast.select`` would raise it, an argument is one of neither, or nothing is
            left of the images.
        RunError: the backend cannot be used, or the disk is full.
    """

def audit(
    images: Images,
    output: str | os.PathLike[str],
    *,
    scale: Scale = ...,
    patch: int = ...,
    stride: int | None = ...,
    mode: Mode = ...,
    scorer: Scorer = ...,
    backend: Backend = ...,
    device: Device = ...,
    precision: Precision = ...,
    loader: Loader = ...,
    threads: int | None = ...,
    shard: tuple[int, int] | None = ...,
    skip_bad: bool = ...,
    lr_images: str | os.PathLike[str] | None = ...,
    lr_template: str = ...,
    blockiness: bool = ...,
    shrink: str | Sequence[str | float] = ...,
    defects: bool = ...,
    tile_overlap: int = ...,
    resume: bool | None = ...,
    max_pixels: int | None = ...,
    progress: Progress | bool | None = ...,
    against: tuple[str | os.PathLike[str], ...] = ...,
    allow_missing_shards: bool = ...,
    patches: bool = ...,
) -> Audited:
    """Looks for images that spoil a training set, and judges each. No image is moved or deleted.

    Three files are written: ``images.csv`` (image, verdict, reasons, keep_instead, then a value for each column: the
    mean of the patches, or what a share of them reaches, and the size at which it is taken), ``rejects.csv`` (image, x,
    y, size, reason, for ``select --reject``; an empty x, y and size stand for the whole image) and ``audit.html``
    (the rejected images, to decide). An image is rejected if it is beyond a threshold for images
    (``srfast.scoring.defect_columns``), if a better copy of it is among the images (larger, then lossless, then of
    higher JPEG quality, then first by path), if it shows a test image, or if it is smaller than a patch. A soft image
    that is beyond no threshold at a smaller size gets the verdict shrink. The patches beyond the threshold for
    patches are listed for the images that are kept.

    Args:
        images: Files and folders, or one score table or all shards of one. The images of a table are read again if it
            lacks columns of defects; otherwise no setting of scoring can be given.
        output: The folder to write to.
        scale: Super-resolution factor: the side of an HR image over that of its LR image. 1, with ``lr_images``:
            restoration at the same size, where bicubic is the LR image itself.
        patch: Side of a patch in HR pixels, a multiple of the scale.
        stride: Step of the grid in HR pixels, a multiple of the scale. The last patch of a row or column is flush with
            the border of the image.
        mode: How patches are scored, as for ``srfast score``.
        scorer: Network that reconstructs the patches, as for ``srfast score``; bicubic needs none.
        backend: Implementation that scores. auto takes the first that works. If you choose one that cannot run, the
            command ends with the reason.
        device: Device that scores. auto takes a GPU if there is one.
        precision: Arithmetic of the network, for the backends native and triton. fp32: float32. fast: integers on the
            CPU and float16 on the GPU; scores change slightly, and their ranking hardly at all
            (docs/results/agreement.md).
        loader: Decoder of the images. srfast: the CPU. dali: NVIDIA DALI, for JPEG files on the GPU; the run ends if
            pixels differ from the CPU's by more than 0.5 grey levels on average or 16 anywhere.
        threads: Number of CPU threads that decode and score.
        shard: Score only every n-th image, from the i-th on. i counts from 0 or from 1: 0/2 and 1/2 are all images, and
            so are 1/2 and 2/2. ``srfast select`` reads the n tables as one.
        skip_bad: Continue after files that cannot be read; their verdict is unreadable.
        lr_images: Folder of LR images to use instead of making them. An LR image has the path of its HR image, the name
            that ``lr_template`` gives, any suffix, and the size of the HR image divided by the scale, rounded down.
            PyTorch scores them, or ONNX Runtime if the scorer is an .onnx file.
        lr_template: Name of an LR image, where {} stands for the name of its HR image without suffix, such as {}x4.
        blockiness: Add a column of JPEG block artefacts, from 0 to 100 % (docs/selection.md). Patches need a side of at
            least 9 pixels.
        shrink: Sizes at which each image is scored, as fractions of its own size, such as 1,3/4,1/2,1/3. The image is
            shrunk by bicubic interpolation with antialiasing; x, y and size are then in pixels of the shrunk image, and
            a column shrink holds the fraction. auto: with ``defects``, each image at 1, 3/4, 1/2 and 1/3, as far as it
            is sharp there (docs/selection.md).
        defects: Measure the defects by which images are judged.
        tile_overlap: Number of LR pixels that a tile of a large image reads beyond its own at each side, a multiple of
            16. It is used for networks whose receptive field is unknown, whose scores near the seams are approximate
            (docs/scoring.md).
        resume: Continue an interrupted run. Images that have changed since, or whose LR images have, are scored again.
            None continues if the settings are the same, and begins anew otherwise.
        max_pixels: Pixels of the largest image that is read. For an image beyond the default, the memory that decoding
            takes is logged first. The environment variable SRFAST_MAX_PIXELS sets it for every command.
        progress: True shows a bar; a function is called with (images done, images in all, patches scored).
        against: Test images, or folders of them; copies of them are rejected. Repeatable.
        allow_missing_shards: Continue if shards of the table are missing. Their images are left out, and the metadata
            list the shards.
        patches: Also compare patch by patch for near-duplicates, as ``srfast dedup`` does.

    Returns:
        The verdicts, in the order of the images' paths.

    Raises:
        InputError: an argument is wrong, there is no image, or an image has changed since the table was made.
        RunError: the disk is full.
    """

"""Files in, score table out: decode and score run side by side, memory stays flat, finished work survives a crash."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
import pyarrow as pa

from srfast.data.files import check_output
from srfast.data.images import ImageFile, find_images, shard_of
from srfast.data.interrupts import finishing
from srfast.data.lowres import LowRes
from srfast.data.threads import cores
from srfast.data.workers import ordered_map
from srfast.errors import InputError
from srfast.ops.device import Device
from srfast.scoring import device_loading
from srfast.scoring.backends.base import Engine
from srfast.scoring.estimate import WORTH_SAYING, estimate
from srfast.scoring.job import Decoded, Job, Read, open_job
from srfast.scoring.network import Network, Scorer
from srfast.scoring.part_folder import check_table_folder
from srfast.scoring.parts import Outcome, Parts, clean_json
from srfast.scoring.rows import numbers
from srfast.scoring.settings import Backend, Boundary, Loader, Mode, Precision, Scale, ScoreSettings
from srfast.scoring.table import VERSION, ScoreTable, of_records, write_parquet

log = logging.getLogger(__name__)
Progress = Callable[[int, int, int], None]
"""Called with (images done, images in all, patches scored by this run)."""

SHARED = 1 << 22
"""Pixels of the images that share a call of an engine that takes several."""


def score(
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    scale: Scale = 2,
    patch: int = 96,
    stride: int | None = None,
    mode: Mode = "patch",
    scorer: Scorer = "srcnn",
    backend: Backend = "auto",
    device: Device = "auto",
    precision: Precision = "fp32",
    boundary: Boundary = "symmetric",
    loader: Loader = "srfast",
    workers: int | None = None,
    shard: tuple[int, int] | None = None,
    skip_bad: bool = False,
    lr: str | os.PathLike[str] | None = None,
    lr_template: str = "{}",
    blockiness: bool = False,
    tile_overlap: int = 32,
    resume: bool = False,
    output: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
) -> ScoreTable:
    """Scores every patch of a set of images (Moser, Raue, Dengel, 2024, Section 3).

    Args:
        images: Files and folders; folders are searched recursively. Read as OpenCV's IMREAD_COLOR reads.
        scale: 2, 3 or 4.
        patch: Side of a patch in HR pixels, a multiple of ``scale``.
        stride: Step of the grid, a multiple of ``scale``; None takes ``patch``. The last window of a row or column is
            flush with the border of the image (cropped to a multiple of ``scale``).
        mode: "patch" degrades and reconstructs every patch by itself, the paper's definition; "dense" does it once an
            image and gives each patch the mean of its part of the error map.
        scorer: "srcnn", "bicubic", a weight or .onnx file, or a module or function: see
            ``srfast.scoring.network.load_network``.
        backend: As for ``score_patches``, like the next three.
        device: "auto", "cpu" or "cuda".
        precision: "fp32" or "fast".
        boundary: "symmetric" or "replicate".
        loader: "srfast" decodes on the CPU; "dali" decodes JPEG files on the GPU with NVIDIA DALI, and ends where the
            pixels are not those of srfast.
        workers: Threads that decode (and, with the native engine, score); None takes one a core that the process
            may use.
        shard: (i, n): only every n-th image from the i-th on; the n tables are put together by ``select``.
        skip_bad: Go on after a file that cannot be read, and list it in the table's metadata.
        lr: Folder of the LR images, where they exist already (cameras, other degradations); None makes them. Each has
            the path of its HR image, its name as ``lr_template`` says, any suffix, and exactly a scale-th of its size,
            rounded down. Scored by torch, or by ONNX Runtime where the scorer is an .onnx file.
        lr_template: What becomes of an HR image's name without suffix, such as "{}x4".
        blockiness: Adds a column ``blockiness``, of JPEG's block artefacts (see ``srfast.ops.blockiness``); patches of
            at least 9 pixels.
        tile_overlap: LR pixels around each tile of a large image, for a module, function or file whose receptive field
            is not known: the scores near seams are then approximate (docs/selection.md).
        resume: Continue an interrupted run that wrote to ``output``; images that changed, or whose LR image did, are
            scored again.
        output: Where to write scores.parquet; a name that ends in "/" becomes a folder of parts, which needs no merge
            at the end. While running, finished parts lie in ``<output>.parts``. None keeps the table in memory only.
        progress: Called after every image.
        engine: "local": this process and its threads. "ray": the actors of a Ray cluster, one for every ``workers``
            cores (1 where that is None) and, on CUDA, one GPU; they read the images by the same paths. The table is
            the same.
        address: Of the Ray cluster; None takes RAY_ADDRESS, or starts one on this machine.

    Returns:
        The score table.

    Raises:
        InputError: a wrong argument, an unreadable file (without ``skip_bad``), nothing to score, or a run to resume
            that was made with other settings. RunError: the backend cannot be used, or the disk is full.
    """
    settings = ScoreSettings(
        scale,
        patch,
        stride,
        mode,
        scorer,
        backend,
        device,
        precision,
        boundary,
        loader,
        workers,
        shard,
        skip_bad,
        lr,
        lr_template,
        blockiness,
        tile_overlap,
    )
    if output is None and resume:
        raise InputError("resume: expected an output to continue, got none")
    with tempfile.TemporaryDirectory(prefix="srfast-") as folder:
        target = Path(folder, "scores.parquet") if output is None else output
        summary = write_scores(
            images, target, settings, resume=resume, progress=progress, engine=engine, address=address
        )
        return ScoreTable.read(summary.path)


@dataclass
class Summary:
    """What a run wrote, without reading it back."""

    path: Path
    meta: dict[str, Any]
    patches: int = 0
    lowest: float = math.inf
    highest: float = -math.inf
    total: float = 0.0
    """Sum of the losses."""

    def count(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Passes tables through and takes note of their losses."""
        for table in tables:
            loss = numbers(table.column("loss"))
            self.patches += len(loss)
            self.lowest = min(self.lowest, float(loss.min()))
            self.highest = max(self.highest, float(loss.max()))
            self.total += float(loss.sum(dtype=np.float64))
            yield table


def write_scores(
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    settings: ScoreSettings | None = None,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
) -> Summary:
    """``score`` for tables that need not fit in memory: writes ``output`` and returns a summary.

    Args:
        images: As for ``score``, like the next four.
        output: A file, or a folder of parts.
        settings: The other arguments of ``score``.
        resume: Continue an interrupted run.
        progress: As for ``score``, like the next two.
        engine: "local" or "ray".
        address: Of the Ray cluster.
    """
    settings = settings or ScoreSettings()
    if engine not in ("local", "ray"):
        raise InputError(f"engine: expected local or ray, got {engine!r}")
    if address is not None and engine != "ray":
        raise InputError(f"address: expected engine 'ray', got {engine!r}")
    found = find_images(images)
    if settings.lr is not None:
        states = LowRes(Path(settings.lr), settings.lr_template).states(f.name for f in found)
        found = [replace(f, lr=states.get(f.name)) for f in found]
    target = Path(output)
    folder = str(os.fspath(output)).endswith(("/", os.sep)) or target.is_dir()
    if folder:
        check_table_folder(target, [f.path for f in found])
    else:
        check_output(target, "score table", [f.path for f in found])
    with _scorer(settings, engine, address, shard_of(found, settings.shard)) as scorer:
        return _write(scorer, settings, found, target, folder, resume, progress)


def _scorer(
    settings: ScoreSettings, engine: str, address: str | None, files: list[ImageFile]
) -> AbstractContextManager[_Scorer]:
    if engine == "ray":
        if settings.loader != "srfast":
            raise InputError(f"loader: expected srfast with engine 'ray', got {settings.loader!r}")
        from srfast.scoring.cluster import Cluster

        return Cluster(settings, address)
    network, job = open_job(settings, settings.workers or cores())
    if settings.loader == "dali":
        device_loading.check_loader(job.engine, settings, files)
    return nullcontext(_Local(network, job))


class _Scorer(Protocol):
    """What scores images: this process, or a cluster."""

    network: Network
    backend: str
    precision: str

    def outcomes(self, files: list[ImageFile]) -> Generator[Outcome, None, None]: ...


class _Local:
    def __init__(self, network: Network, job: Job) -> None:
        self.network, self.job = network, job
        self.backend, self.precision = job.engine.name, job.engine.precision
        log.info("backend %s in %s, %d threads", self.backend, self.precision, job.workers)

    def outcomes(self, files: list[ImageFile]) -> Generator[Outcome, None, None]:
        if self.job.settings.lr is None:
            ahead = estimate(files, cast(Engine, self.job.engine), self.job.settings, self.job.workers)
            if ahead is not None and ahead.patch > max(WORTH_SAYING, 4 * ahead.dense):
                log.warning("%s", ahead.sentence())
        yield from _outcomes(self.job, files)


def _write(
    scorer: _Scorer, settings: ScoreSettings, found: list[ImageFile], target: Path, folder: bool, resume: bool,
    progress: Progress | None,
) -> Summary:  # fmt: skip
    files = shard_of(found, settings.shard)
    meta = {
        "version": VERSION,
        **settings.recorded(str(found[0].root), scorer.network, scorer.backend, scorer.precision),
    }
    log.info("%d images", len(files))
    with Parts.start(Path(os.path.realpath(target)), clean_json(meta), resume) as parts:
        _score_into(parts, scorer, settings, files, progress)
        records = parts.records(files)
        # Another shard may have patches; a whole dataset without any is a mistake.
        if settings.shard is None and not any(r["rows"] for r in records):
            parts.remove()
            raise InputError(_nothing(records, settings.patch))
        summary = Summary(target, {**parts.settings, **of_records(records)})
        if folder:
            for _ in summary.count(parts.tables(files)):
                pass
            parts.become(target, files)
        else:
            write_parquet(target, summary.count(parts.tables(files)), parts.schema, summary.meta, aside=parts.folder)
            parts.remove()
    return summary


def _score_into(
    parts: Parts, scorer: _Scorer, settings: ScoreSettings, files: list[ImageFile], progress: Progress | None
) -> None:
    """Scores the images that the parts do not hold yet.

    An interrupt ends it once the images at work are done, so that no thread is left behind and the parts are whole.
    """
    todo = [f for f in files if not parts.has(f, retry_skipped=True)]
    done, patches = len(files) - len(todo), 0
    if progress:
        progress(done, len(files), 0)
    with finishing() as interrupted, flushing(parts), closing(scorer.outcomes(todo)) as outcomes:
        for outcome in outcomes:
            if outcome.skipped is not None and not settings.skip_bad:
                raise InputError(f"{outcome.skipped} (--skip-bad goes on without such files)")
            parts.add(outcome)
            done += 1
            patches += outcome.rows.num_rows if outcome.rows is not None else 0
            if progress:
                progress(done, len(files), patches)
            if interrupted():
                break


def _outcomes(job: Job, files: list[ImageFile]) -> Generator[Outcome, None, None]:
    """Outcomes in order.

    A concurrent engine decodes and scores an image in one task: no hand-over, no idle core, whichever stage is slower.
    Any other engine scores on the calling thread while the workers decode ahead.
    """
    workers = job.workers
    threads = max(1, workers // max(1, min(len(files), workers)))
    if job.settings.loader == "dali":
        yield from device_loading.outcomes(job.engine, job.settings, files, workers)
    elif job.engine.concurrent:
        for _, outcome in ordered_map(lambda file: job.score(file, job.decode(file), threads), files, workers):
            yield outcome
    else:
        decoded = ordered_map(job.decode, files, workers)
        if hasattr(job.engine, "windows_of") and job.settings.mode == "patch":
            for group in _groups(decoded):
                yield from job.score_together(group)
        else:
            for file, image in decoded:
                yield job.score(file, image, workers)


def _groups(decoded: Iterable[Read]) -> Iterator[list[Read]]:
    """Consecutive images of SHARED pixels or a little more."""
    group: list[Read] = []
    pixels = 0
    for file, image in decoded:
        group.append((file, image))
        pixels += image.hr.shape[0] * image.hr.shape[1] if isinstance(image, Decoded) else 0
        if pixels >= SHARED:
            yield group
            group, pixels = [], 0
    if group:
        yield group


@contextmanager
def flushing(parts: Parts) -> Iterator[None]:
    """Writes what is finished, also when the body fails or is interrupted: --resume then loses nothing."""
    try:
        yield
    except BaseException:
        try:
            parts.flush()
        except Exception:  # the first error is the one to report
            pass
        raise
    parts.flush()


def _nothing(records: list[dict[str, Any]], patch: int) -> str:
    small = [r for r in records if r["small"]]
    skipped = [r for r in records if r["skipped"]]
    first = small[0] if small else skipped[0]
    reason = f"{first['image']} is {first['small'][1]} x {first['small'][0]}" if small else str(first["skipped"])
    return (
        f"images: nothing to score: {len(small)} smaller than the patch of {patch} pixels, "
        f"{len(skipped)} unreadable (for one, {reason})"
    )

"""From files to a score table, with decoding beside scoring, bounded memory, and work that survives a crash."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from srfast.data.atomic import scratch_folder
from srfast.data.images import ImageFile, counted, find_images, header
from srfast.data.limits import allowing
from srfast.data.lowres import LowRes
from srfast.data.workers import ordered_map
from srfast.errors import InputError
from srfast.ops.device import resolve_device
from srfast.runtime.interrupts import finishing
from srfast.runtime.progress import Progress, shown
from srfast.runtime.threads import cores
from srfast.scoring import device_loading
from srfast.scoring.backends.protocol import TakesSeveral
from srfast.scoring.metadata import PASSED, VERSION, Outcome, reduced
from srfast.scoring.network import Network
from srfast.scoring.parts import Parts
from srfast.scoring.per_image import Decoded, Job, open_job, pipelined
from srfast.scoring.rows import numbers
from srfast.scoring.settings import ScoreArguments, ScoreSettings
from srfast.scoring.table import ScoreTable
from srfast.settings import documented

if TYPE_CHECKING:
    from srfast.scoring.cluster import Cluster

log = logging.getLogger(__name__)
Images = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

OVERLAP = 8
"""Times that patch mode computes a pixel, from which on dense mode is proposed."""
WORTH_SAYING = 30.0
"""Seconds that patch mode must take for that."""
NEARLY_ALL = 0.95
"""Share of the patches on which a loss above bicubic's says that the network does not reconstruct."""
NAMED = 10
"""Number of unreadable files that a message names."""
_LEFT_OUT = {"alpha": "the alpha channel of {}", "bits": "all but the high 8 bits of {}"}
SHARED = 1 << 25
"""Pixels of the images that share one call of an engine that takes several: eight uploads, 96 MiB of RGB, so that the
device has work while the next images are decoded."""


@documented(ScoreArguments)
def score(images: Images, **options: Any) -> ScoreTable:
    """Scores every patch of a set of images (Moser, Raue, Dengel, 2024, Section 3).

    Args:
        images: Files and folders; folders are searched recursively. Images are read as by OpenCV's IMREAD_COLOR.
        **options: settings

    Returns:
        The score table.

    Raises:
        InputError: an argument is wrong, a file is unreadable (without ``skip_bad``), no patch is found, or the run to
            resume was made with other settings.
        RunError: the backend cannot be used, or the disk is full.
    """
    settings = ScoreArguments.of(options)
    if settings.output is None and settings.resume:
        raise InputError("resume: expected an `output` to continue, got none")
    if settings.output is not None:
        write_scores(images, settings.output, settings)
        return ScoreTable.read(settings.output)
    with scratch_folder(None, "score") as folder:
        write_scores(images, table := folder / "scores.parquet", settings)
        return ScoreTable.read(table)


@dataclass
class Summary:
    """The summary of a run, without reading its table back."""

    path: Path
    meta: dict[str, Any]
    patches: int = 0
    lowest: float = math.inf
    highest: float = -math.inf
    total: float = 0.0
    """Sum of the losses."""
    worse: int = 0
    """Patches whose loss is above bicubic's."""

    def count(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Passes tables through, and adds up their losses."""
        for table in tables:
            loss = numbers(table.column("loss"))
            self.patches += len(loss)
            self.lowest = min(self.lowest, float(loss.min()))
            self.highest = max(self.highest, float(loss.max()))
            self.total += float(loss.sum(dtype=np.float64))
            self.worse += int((loss > numbers(table.column("bicubic"))).sum())
            yield table


def write_scores(images: Images, output: str | os.PathLike[str], settings: ScoreArguments) -> Summary:
    """Scores like ``score``, for tables that need not fit in memory: writes ``output`` and returns a summary."""
    passed: Counter[str] = Counter()
    files = find_images(images, passed)
    if passed:
        log.warning("images: passed over %d files of other kinds, by their suffix: %s", passed.total(), counted(passed))
    if settings.lr_images is not None:
        files = LowRes(Path(settings.lr_images), settings.lr_template).beside(files)
    with (
        Parts.take(output, files, settings.shard) as parts,
        allowing(settings.max_pixels),
        shown(settings.progress, "scoring", "patches") as progress,
        _source(settings) as source,
    ):
        parts.begin(_recorded(source, settings, parts.root, passed), settings.resume)
        _score_into(parts, source, settings, progress)
        summary = Summary(Path(output), parts.meta())
        # Another shard may have patches; a whole dataset without any is a mistake.
        if settings.shard is None and not any(state["rows"] for state in summary.meta["images"].values()):
            parts.remove()
            raise InputError(_nothing_scored(summary.meta))
        parts.finish(summary.meta, through=summary.count)
        if summary.patches and summary.worse >= NEARLY_ALL * summary.patches:
            log.warning(
                "scorer: the loss of %s is above bicubic's on %.4g %% of the patches: it does not reconstruct images, "
                "and its scores do not show what is hard (are its weights complete, not quantised, and for x%d?)",
                source.network.name, 100 * summary.worse / summary.patches, settings.scale,
            )  # fmt: skip
    if counts := reduced(summary.meta):
        log.warning("images: reading leaves out %s", ", ".join(_LEFT_OUT[word].format(n) for word, n in counts.items()))
    return summary


def _source(settings: ScoreArguments) -> AbstractContextManager[_Local | Cluster]:
    if settings.engine == "ray":
        from srfast.scoring.cluster import Cluster

        return closing(Cluster(settings, settings.address))
    return nullcontext(_Local(*open_job(settings, settings.threads or cores())))


class _Local:
    """This process as the source of scores, as a ``Cluster`` is one."""

    def __init__(self, network: Network, job: Job) -> None:
        self.network, self.job = network, job
        self.backend, self.precision = job.engine.name, job.engine.precision
        self.device: str = resolve_device(job.settings.device)
        dali = job.settings.loader == "dali"
        self.decoder = {"decoder": device_loading.decoder(job.engine)} if dali else {}
        log.info("backend %s in %s, %d threads", self.backend, self.precision, job.workers)

    def outcomes(self, files: list[ImageFile]) -> Generator[Outcome, None, None]:
        yield from _outcomes(self.job, files)


def _recorded(
    source: _Local | Cluster, settings: ScoreArguments, root: str, passed: Mapping[str, int]
) -> dict[str, Any]:
    """The metadata of the table but for its images, as a file returns them."""
    made = settings.recorded(root, source.network, source.backend, source.precision)
    over: dict[str, Any] = {PASSED: dict(sorted(passed.items()))} if passed else {}
    if source.device == "cuda":  # its reduced precision is another one than the CPU's
        over["device"] = "cuda"
    meta: dict[str, Any] = json.loads(json.dumps({"version": VERSION, **source.decoder, **made, **over}))
    return meta


def _check_readable(files: list[ImageFile], threads: int) -> None:
    """Raises an error that names every file whose header cannot be read, before any image is scored."""

    def reason(file: ImageFile) -> str | None:
        try:
            with header(file.path):
                return None
        except InputError as error:
            return str(error)

    bad = [text for _, text in ordered_map(reason, files, threads) if text is not None]
    if not bad:
        return
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    head = f"{len(bad)} of {len(files)} files cannot be read: " if len(bad) > 1 else ""
    raise InputError(f"{head}{'; '.join(bad[:NAMED])}{more}", hint="`skip_bad` leaves such files out")


def _score_into(parts: Parts, source: _Local | Cluster, settings: ScoreSettings, progress: Progress) -> None:
    """Scores the images that the parts do not hold yet.

    After an interrupt it ends when the images at work are done, so that no thread is left behind and the parts are
    whole.
    """
    threads = settings.threads or cores()
    todo = parts.missing(threads)
    if not settings.skip_bad:
        _check_readable(todo, threads)
    count, patches = len(parts.files), 0
    done = count - len(todo)
    progress(done, count, 0)
    overlap = (settings.patch / settings.step) ** 2 if settings.mode == "patch" and settings.lr_images is None else 1
    began = time.monotonic()
    with finishing() as interrupted, closing(source.outcomes(todo)) as outcomes:
        for outcome in outcomes:
            if outcome.skipped is not None and not settings.skip_bad:
                raise InputError(f"{outcome.skipped}", hint="`skip_bad` leaves such files out")
            parts.add(outcome)
            done += 1
            patches += outcome.rows.num_rows if outcome.rows is not None else 0
            progress(done, count, patches)
            if interrupted():
                break
            if overlap >= OVERLAP and done < count and time.monotonic() - began >= WORTH_SAYING:
                log.warning(
                    "patch mode computes every pixel about %.0f times, in overlapping patches; `mode` dense computes "
                    "it once and ranks alike (docs/results/agreement.md)", overlap,
                )  # fmt: skip
                overlap = 1
        parts.flush()


def _outcomes(job: Job, files: list[ImageFile]) -> Generator[Outcome, None, None]:
    """Yields outcomes in order.

    A concurrent engine decodes and scores an image in one task: without a hand-over no core is idle, whichever stage is
    slower. Any other engine scores on the calling thread while the workers decode ahead.
    """
    workers = job.workers
    threads = max(1, workers // max(1, min(len(files), workers)))
    if job.settings.loader == "dali":
        yield from device_loading.outcomes(job, files)
    elif job.engine.concurrent:
        for _, outcome in ordered_map(lambda file: job.score(job.open(file), threads), files, workers):
            yield outcome
    else:
        decoded = (image for _, image in ordered_map(job.decode, files, workers))
        if isinstance(job.engine, TakesSeveral):
            yield from pipelined(job.submit(group) for group in _groups(decoded))
        else:
            for image in decoded:
                yield job.score(image, workers)


def _groups(decoded: Iterable[Decoded]) -> Iterator[list[Decoded]]:
    """Yields groups of consecutive images with SHARED pixels or a little more."""
    group: list[Decoded] = []
    pixels = 0
    for image in decoded:
        group.append(image)
        pixels += sum(s.hr.shape[0] * s.hr.shape[1] for s in image.sizes)
        if pixels >= SHARED:
            yield group
            group, pixels = [], 0
    if group:
        yield group


def _nothing_scored(meta: Mapping[str, Any]) -> str:
    small, skipped = meta["small"], meta["skipped"]
    if small:
        size = f" at {small[0]['shrink']}" if "shrink" in small[0] else ""
        reason = f"{small[0]['image']} is {small[0]['width']} x {small[0]['height']}{size}"
    else:
        reason = skipped[0]["reason"]
    return (
        f"images: nothing to score: {len({e['image'] for e in small})} smaller than the patch "
        f"of {meta['patch']} pixels, {len(skipped)} unreadable (for one, {reason})"
    )

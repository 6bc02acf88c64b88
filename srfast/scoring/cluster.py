"""Scoring on a Ray cluster: rows of (path, size) are sent to actors, which decode and score whole images."""

from __future__ import annotations

import logging
import os
import pickle
import platform
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from srfast.data.images import ImageFile
from srfast.data.limits import VARIABLE
from srfast.errors import InputError, RunError
from srfast.ops.device import sees_cuda
from srfast.runtime.optional import needing
from srfast.scoring.metadata import Outcome
from srfast.scoring.network import Network, load_network
from srfast.scoring.per_image import Job, open_job
from srfast.scoring.settings import Backend, ScoreSettings
from srfast.scoring.table import repeated
from srfast.version import VERSION

log = logging.getLogger(__name__)

BLOCK_BYTES = 32 << 20
BLOCK_IMAGES = 64
"""Number of files of a block, which is handed out as one, and again if its actor is lost."""
STORE = 256 << 20
"""Bytes of the object store of a cluster on this machine; only file names and scores pass through it."""


class Cluster:
    """A connection to a cluster, or a cluster on this machine only.

    The setting ``threads`` is the number of cores of an actor, 1 for None. If ``device`` is "cuda", or "auto" on a
    cluster with GPUs, every actor has one GPU. None for the address of a running cluster ("auto", "ray://head:10001")
    takes RAY_ADDRESS, or starts a cluster. Raises RunError if Ray is not installed or cannot be reached, or the cluster
    has no room for an actor.
    """

    def __init__(self, settings: ScoreSettings, address: str | None = None) -> None:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its core writes to stderr past Python's logging
        with needing("engine: a run on a cluster"):
            import ray
            import ray.data
        self.network: Network = load_network(settings.scorer, settings.scale)
        self._ours = not ray.is_initialized()
        if self._ours:
            _start(address)
        try:
            self._threads = settings.threads or 1
            resources = ray.cluster_resources()
            gpus = int(resources.get("GPU", 0))
            device = ("cuda" if gpus else "cpu") if settings.device == "auto" else settings.device
            self._need: dict[str, Any] = {"num_cpus": self._threads, "num_gpus": 1 if device == "cuda" else 0}
            places = int(resources.get("CPU", 0)) // self._threads
            self.actors = min(places, gpus) if device == "cuda" else places
            if not self.actors:
                raise RunError(
                    f"engine: ray: no machine for an actor of {self._threads} cores"
                    f"{' and a GPU' if device == 'cuda' else ''}; the cluster has {resources.get('CPU', 0):g} cores "
                    f"and {gpus} GPUs"
                )
            scorer = settings.scorer
            if isinstance(scorer, (str, os.PathLike)) and scorer not in ("srcnn", "bicubic"):
                scorer = os.path.abspath(scorer)  # for machines with another working directory
            self.settings = replace(settings, device=device, scorer=scorer)
            # What this machine chooses, or, without a GPU here, the first worker, holds for all: a machine that cannot
            # says why.
            here = _engine(self.settings, self._threads) if device == "cpu" or sees_cuda() else None
            if here is not None:
                self.settings = replace(self.settings, backend=cast(Backend, here.backend))
            probe = ray.remote(max_retries=3, **self._need)(_engine)
            self._made: EngineRecord = ray.get(probe.remote(self.settings, self._threads))
            self.settings = replace(self.settings, backend=cast(Backend, self._made.backend))
            if here is not None:
                check_same(here, self._made)
            log.info(
                "backend %s in %s on every machine, as on %s, %d actors of %d threads",
                self._made.backend, self._made.precision, (here or self._made).machine, self.actors, self._threads,
            )  # fmt: skip
            self.decoder: dict[str, Any] = {}
            self.backend, self.precision = self._made.backend, self._made.precision
            self.device: str = device
            if self._made.sha256 != self.network.sha256:
                raise RunError(f"engine: ray: the workers' weights of {self.network.name} differ from this machine's")
        except BaseException as error:
            self.close()
            raise _explained(error) from None

    def close(self) -> None:
        """Ends the cluster if this object started it; otherwise leaves the connection as it was found."""
        if self._ours:
            import ray

            ray.shutdown()

    def outcomes(self, files: list[ImageFile]) -> Generator[Outcome, None, None]:
        """Yields outcomes in order. Blocks of a lost actor or machine are handed out again. Raises RunError if scoring
        failed on a worker; the message is the worker's."""
        import ray

        if not files:
            return
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        context.execution_options.verbose_progress = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        about = ("name", "size", "mtime_ns")
        blocks = [pa.table({name: [getattr(f, name) for f in part] for name in about}) for part in _blocks(files)]
        rows = ray.data.from_arrow(blocks).map_batches(
            _Actor,
            fn_constructor_args=(self.settings, self._threads, str(files[0].root), self._made),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=min(self.actors, len(blocks))),
            **self._need,
        )
        known = iter(files)
        try:
            for batch in rows.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
                for sent in batch.column("outcome").to_pylist():
                    yield _outcome(next(known), sent)
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except Exception as error:
            raise _explained(error) from None


def _start(address: str | None) -> None:
    import ray

    # Ray's own usage reports would leave the machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    remote = address or os.environ.get("RAY_ADDRESS")
    own: dict[str, Any] = {} if remote else {"object_store_memory": STORE, "include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise RunError(f"engine: ray: {' '.join(str(error).split())[:200]}") from None


@dataclass(frozen=True)
class EngineRecord:
    """The engine that scores, and its machine; apart from the machine, it must be the same everywhere."""

    backend: str
    precision: str
    sha256: str
    version: str
    machine: str = field(compare=False)


def check_same(wanted: EngineRecord, other: EngineRecord) -> None:
    """Checks that two machines score alike. Raises RunError if they do not; the message names the difference and the
    machines."""
    for name in ("version", "backend", "precision", "sha256"):
        ours, theirs = getattr(wanted, name), getattr(other, name)
        if ours != theirs:
            what = {"sha256": "weights", "version": "srfast"}.get(name, name)
            raise RunError(
                f"engine: ray: {what} {theirs} on {other.machine} and {ours} on {wanted.machine}; scores would differ",
                hint="install the same srfast on every machine",
            )


def _engine(settings: ScoreSettings, threads: int) -> EngineRecord:
    """The backend, precision and weights that score on this machine; it runs on a worker, and here."""
    return _opened(settings, threads)[1]


def _opened(settings: ScoreSettings, threads: int) -> tuple[Job, EngineRecord]:
    """``open_job``, whose errors name the machine."""
    machine = f"{platform.node()} ({Path(__file__).parents[1]})"
    try:
        network, job = open_job(settings, threads)
    except RunError as error:
        raise RunError(f"engine: ray: on {machine}: {error}") from None
    return job, EngineRecord(job.engine.name, job.engine.precision, network.sha256, VERSION, machine)


def _blocks(files: list[ImageFile]) -> Iterator[list[ImageFile]]:
    block: list[ImageFile] = []
    size = 0
    for file in files:
        if block and (len(block) == BLOCK_IMAGES or size + file.size > BLOCK_BYTES):
            yield block
            block, size = [], 0
        block.append(file)
        size += file.size
    if block:
        yield block


class _Actor:
    """The actor, with one engine; it scores one image after another."""

    def __init__(self, settings: ScoreSettings, threads: int, root: str, wanted: EngineRecord) -> None:
        self._job, made = _opened(settings, threads)
        check_same(wanted, made)
        self._root = Path(root)
        self._threads = threads
        if (most := getattr(settings, "max_pixels", None)) is not None:
            os.environ[VARIABLE] = str(most)

    def __call__(self, files: pa.Table) -> pa.Table:
        outcomes = []
        for row in files.to_pylist():
            file = ImageFile(self._root, row["name"], row["size"], row["mtime_ns"])
            outcome = self._job.score(self._job.open(file), self._threads)
            if outcome.rows is not None:  # without the name, which would repeat in each
                outcome.rows = outcome.rows.drop_columns(["image"])
            outcomes.append(pickle.dumps(outcome))
        return pa.table({"outcome": pa.array(outcomes, pa.large_binary())})


def _outcome(file: ImageFile, sent: bytes) -> Outcome:
    outcome: Outcome = pickle.loads(sent)  # of the cluster's own workers, as all that Ray hands over
    if outcome.file.name != file.name:
        raise RunError(f"engine: ray: expected the scores of {file.name}, got those of {outcome.file.name}")
    if outcome.rows is not None:
        image = pa.field("image", pa.string(), nullable=False)
        outcome.rows = outcome.rows.add_column(0, image, repeated(file.name, len(outcome.rows)))
    return replace(outcome, file=file)


def _explained(error: BaseException) -> BaseException:
    """An error of srfast, unwrapped from the layers that Ray puts around it; any other error in one line."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, (InputError, RunError, KeyboardInterrupt, SystemExit)):
            return type(seen)(*seen.args)
        seen = getattr(seen, "cause", None) or seen.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return RunError(f"engine: ray: {type(error).__name__}: {lines[-1][:200] if lines else 'no message'}")

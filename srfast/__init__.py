"""srfast finds the image patches that are worth training super-resolution models on.

Names are loaded on first use, so that ``import srfast`` and ``srfast --help`` do not wait for torch.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # not typing's, whose import is half the time before the command line takes signals over
_NAMES = {
    "imresize": "srfast.ops.functional",
    "downsample": "srfast.ops.functional",
    "upsample": "srfast.ops.functional",
    "per_sample_mse": "srfast.ops.functional",
    "score_patches": "srfast.scoring.patches",
    "score": "srfast.scoring.pipeline",
    "ScoreTable": "srfast.scoring.table",
    "join": "srfast.scoring.joining",
    "stats": "srfast.scoring.statistics",
    "recommend": "srfast.workflows.recommendation",
    "select": "srfast.coreset.selection",
    "CoreSet": "srfast.coreset.selection",
    "Column": "srfast.coreset.settings",
    "dedup": "srfast.coreset.duplicates",
    "CorePatches": "srfast.coreset.dataset",
    "export": "srfast.exporting.job",
    "manifest": "srfast.coreset.publishing",
    "rebuild": "srfast.coreset.rebuilding",
    "degrade": "srfast.workflows.degrading",
    "psnr": "srfast.evaluation.metrics",
    "ssim": "srfast.evaluation.metrics",
    "evaluate": "srfast.evaluation.evaluator",
    "compare": "srfast.evaluation.comparing",
    "train": "srfast.workflows.training",
    "influence": "srfast.coreset.influence",
    "prune": "srfast.workflows.pruning",
    "audit": "srfast.workflows.auditing",
    "write_report": "srfast.report.writing",
    "run_study": "srfast.study.runner",
    "export_onnx": "srfast.scoring.backends.onnx.graph",
    "build_info": "srfast.ops.native",
    "Exported": "srfast.exporting.job",
    "Manifest": "srfast.coreset.publishing",
    "Rebuilt": "srfast.coreset.rebuilding",
    "Degraded": "srfast.workflows.degrading",
    "Audited": "srfast.workflows.auditing",
    "Pruned": "srfast.workflows.pruning",
    "Comparison": "srfast.evaluation.inference",
    "Evaluation": "srfast.evaluation.evaluator",
    "TrainResult": "srfast.training.loop",
    "InputError": "srfast.errors",
    "RunError": "srfast.errors",
}

_MODULES = {"models": "srfast.models", "reference": "srfast.ops.reference", "samplers": "srfast.samplers"}

__all__ = ["__version__", *_MODULES, *_NAMES]


def __getattr__(name: str) -> Any:
    if name in _MODULES or name in _NAMES:
        from srfast.runtime.optional import needing

        with needing(f"srfast.{name}"):
            if name in _MODULES:
                return import_module(_MODULES[name])
            value = getattr(import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    if name == "__version__":
        return import_module("srfast.version").VERSION
    raise AttributeError(f"module 'srfast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from typing import Any

    __version__: str
    from srfast import models as models
    from srfast.coreset.dataset import CorePatches as CorePatches
    from srfast.coreset.duplicates import dedup as dedup
    from srfast.coreset.influence import influence as influence
    from srfast.coreset.publishing import Manifest as Manifest
    from srfast.coreset.publishing import manifest as manifest
    from srfast.coreset.rebuilding import Rebuilt as Rebuilt
    from srfast.coreset.rebuilding import rebuild as rebuild
    from srfast.coreset.selection import CoreSet as CoreSet
    from srfast.coreset.selection import select as select
    from srfast.coreset.settings import Column as Column
    from srfast.errors import InputError as InputError
    from srfast.errors import RunError as RunError
    from srfast.evaluation.comparing import compare as compare
    from srfast.evaluation.evaluator import Evaluation as Evaluation
    from srfast.evaluation.evaluator import evaluate as evaluate
    from srfast.evaluation.inference import Comparison as Comparison
    from srfast.evaluation.metrics import psnr as psnr
    from srfast.evaluation.metrics import ssim as ssim
    from srfast.exporting.job import Exported as Exported
    from srfast.exporting.job import export as export
    from srfast.ops import reference as reference
    from srfast.ops.functional import downsample as downsample
    from srfast.ops.functional import imresize as imresize
    from srfast.ops.functional import per_sample_mse as per_sample_mse
    from srfast.ops.functional import upsample as upsample
    from srfast.ops.native import build_info as build_info
    from srfast.report.writing import write_report as write_report
    from srfast.scoring.backends.onnx.graph import export_onnx as export_onnx
    from srfast.scoring.joining import join as join
    from srfast.scoring.patches import score_patches as score_patches
    from srfast.scoring.pipeline import score as score
    from srfast.scoring.statistics import stats as stats
    from srfast.scoring.table import ScoreTable as ScoreTable
    from srfast.study.runner import run_study as run_study
    from srfast.training.loop import TrainResult as TrainResult
    from srfast.workflows.auditing import Audited as Audited
    from srfast.workflows.auditing import audit as audit
    from srfast.workflows.degrading import Degraded as Degraded
    from srfast.workflows.degrading import degrade as degrade
    from srfast.workflows.pruning import Pruned as Pruned
    from srfast.workflows.pruning import prune as prune
    from srfast.workflows.recommendation import recommend as recommend
    from srfast.workflows.training import train as train

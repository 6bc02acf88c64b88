"""srfast finds the image patches that are worth training super-resolution models on.

Names are loaded on first use, so that ``import srfast`` and ``srfast --help`` do not wait for torch.
"""

from __future__ import annotations

from importlib import import_module

_NAMES = {
    "imresize": "srfast.ops.functional",
    "downsample": "srfast.ops.functional",
    "upsample": "srfast.ops.functional",
    "per_sample_mse": "srfast.ops.functional",
    "score_patches": "srfast.scoring.patches",
    "score": "srfast.scoring.pipeline",
    "ScoreTable": "srfast.scoring.table",
    "join": "srfast.coreset.joining",
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
    "Contest": "srfast.evaluation.comparing",
    "Evaluation": "srfast.evaluation.evaluator",
    "Recommendation": "srfast.workflows.recommendation",
    "TrainResult": "srfast.training.loop",
    "InputError": "srfast.errors",
    "RunError": "srfast.errors",
}

_MODULES = {"models": "srfast.models", "reference": "srfast.ops.reference", "samplers": "srfast.samplers"}

__all__ = ["__version__", *_MODULES, *_NAMES]


def __getattr__(name: str) -> object:
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

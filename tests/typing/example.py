"""A user's script under ``mypy --strict`` (make lint): what is right passes, what is wrong is an error.

An ignore that nothing needs is an error as well, so each line with one is a wrong choice that a type checker finds.
"""

from pathlib import Path

import numpy as np

import srfast

table = srfast.score("photos/", scale=2, patch=96, stride=48, mode="dense")
print(table.summary()["patches"], table["loss"].mean(), table[:10].to_pandas(), len(table[table["loss"] > 10]))
coreset = srfast.select(table, keep=0.5, drop_hardest=0.05, method=srfast.Column("blockiness"))
pairs = srfast.CorePatches(coreset, scale=2)
loss: np.ndarray = srfast.score_patches(np.zeros((4, 96, 96, 3), np.uint8), scale=2)
model = srfast.models.create("srcnn", scale=2, pretrained=True)
result = srfast.evaluate(model, "Set5/", scale=2)
print(result.psnr, srfast.__version__, len(pairs), srfast.imresize(np.zeros((8, 8), np.uint8), 0.5).shape)
done = srfast.prune("photos/", "out/", patch=48, keep=0.4)
print(done.report, srfast.train("fsrcnn", "out/coreset.parquet", "run/", steps=100).psnr)
srfast.write_report(table, coreset, "report.html")
srfast.export(coreset, "pairs/", to="folder")
print(srfast.train(model, coreset, "run2/", steps=1).step, srfast.train(type(model), table, "run3/", steps=1).step)
print(srfast.compare({"a": result, "b": [result, result]}).rows)

exported: srfast.Exported = srfast.export(coreset, "pairs/", depth=16, channels=1)
audited: srfast.Audited = srfast.audit("photos/", "audit/")
pruned: srfast.Pruned = done
trained: srfast.TrainResult = srfast.train("span", "p/", "r/", scale=1, lr_images="lr/", depth=16, steps=1)
evaluated: srfast.Evaluation = srfast.evaluate(
    model, "Set5/", scale=1, lr_images="lr/", measures=["lpips"], trunks="t/"
)
compared: srfast.Contest = srfast.compare({"a": evaluated, "b": result}, "lpips")
advice: srfast.Recommendation = srfast.recommend(table)
whole: Path = exported.path
print(audited, pruned.report, trained.psnr, evaluated.measures["lpips"], compared.rows, advice.sentences, whole)

srfast.score("p", mode="dens")  # type: ignore[arg-type]
srfast.score("p", backend="tpu")  # type: ignore[arg-type]
srfast.score("p", device="tpu")  # type: ignore[arg-type]
srfast.score("p", scale=5)  # type: ignore[arg-type]
srfast.score_patches(np.zeros((4, 96, 96, 3), np.uint8), precision="half")  # type: ignore[arg-type]
srfast.select("s.parquet", method="losss")  # type: ignore[arg-type]
srfast.select("s.parquet", order="down")  # type: ignore[arg-type]
srfast.prune("p", "o", precision="half")  # type: ignore[arg-type]
srfast.prune("p", "o", drop_hard=0.1)  # type: ignore[call-arg]
srfast.psnr(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8), shave=0, protocol="yuv")  # type: ignore[call-overload]
srfast.evaluate(model, "Set5/", scale=2, protocol="yuv")  # type: ignore[arg-type]
srfast.export(coreset, "pairs/", to="zip")  # type: ignore[arg-type]
srfast.train("fsrcnn", "p", "run/", steps=1, losss="l1")  # type: ignore[call-arg]
srfast.train("fsrcnn", "p", "run/", steps=1, loss="l2")  # type: ignore[arg-type]

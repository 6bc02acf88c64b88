"""The report's page with every patch, whose rows, pictures and maps are requested from this machine, with a token."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import cachetools
import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from srfast.coreset.condition import not_plain, passing
from srfast.coreset.features import describe, spectrum, standardised
from srfast.coreset.selection import choose
from srfast.coreset.selection import source as source_rows
from srfast.coreset.settings import SelectArguments
from srfast.data.shrink import shrunk
from srfast.data.thumbnails import media_type, reduced
from srfast.data.workers import Budget
from srfast.errors import InputError, RunError
from srfast.report.explorer import columns, packed
from srfast.report.pictures import patch, source
from srfast.report.report import report
from srfast.report.scores import DROPPED, KEPT, STATUS, ReportScores, hardest_first, ranked, read_scores, statuses
from srfast.report.writing import assemble
from srfast.scoring.rows import Rows, descending, summed
from srfast.scoring.scored import ScoredImages

TEXTURES = 20_000
"""Largest number of patches on the map of textures; of more, as many are spread over the order of the loss."""
CACHE = 192 << 20
"""Bytes of the images that are kept for the next question."""
_PAGE = 200
"""Largest number of rows in an answer."""
Read: TypeAlias = "tuple[np.ndarray | None, str]"
"""An image and a remark, or None and why it cannot be shown."""


class View:
    """A score table and the core-set selected from it, as the page requests them. It writes and changes no file."""

    def __init__(
        self, table: Rows, coreset: Rows | None, files: list[str], root: Path | None = None,
        scorer: Path | None = None,
    ) -> None:  # fmt: skip
        self.table = table.held()
        self.scores: ReportScores = read_scores(self.table, coreset, root=root, scorer=scorer)
        self.images = ScoredImages(self.scores.root, self.scores.meta, root is not None)
        self.ranks = {name: ranked(hardest_first(values)) for name, values in self.scores.scores.items()}
        self.columns = columns(self.scores)
        self.files = files
        self._lock = Lock()
        self._chosen = lru_cache(8)(self._select)
        self._images: cachetools.LRUCache[int, Read] = cachetools.LRUCache(CACHE, _bytes)
        self.budget = Budget()

    def page(self, base: str) -> str:
        """The document; its script requests everything else under ``base``."""
        return assemble(report(self.scores, self.files, pictures=False), {"base": base})

    def chosen(self, query: Mapping[str, str]) -> tuple[np.ndarray, dict[str, Any]]:
        """The status of every row [N] under a selection, made by ``select`` itself, and its counts."""
        if query.get("given") == "1" and self.scores.status is not None:
            return self.scores.status, {"passing": len(self.scores), **self._held(self.scores.status)}
        settings = {k: query[k] for k in ("by", "order", "keep", "error", "drop", "low", "high", "where") if k in query}
        with self._lock:
            return self._chosen(tuple(sorted(settings.items())))

    def _select(self, query: tuple[tuple[str, str], ...]) -> tuple[np.ndarray, dict[str, Any]]:
        settings = dict(query)
        low, high = _number(settings, "low", 0.0), _number(settings, "high", 1.0)
        share, error = _number(settings, "keep", 0.5), settings.get("error") == "1"
        where = settings.get("where", "").strip() or None
        if where is not None and where == str(self.scores.selection.get("where") or "").strip():
            if odd := not_plain(where, self.table.columns):
                reason = f"where: the condition of the core-set is not run, since it {odd}"
                raise InputError(reason, hint="write your own")
        by = settings.get("by", "loss")
        if by not in self.ranks:  # `select` would take a file of functions too, and run it
            raise InputError(f"by: expected one of {', '.join(self.ranks)}, got {by!r}")
        arguments = SelectArguments.of(
            {
                "keep": None, "keep_loss" if error else "keep": share, "method": by, "where": where,
                "order": settings.get("order", "des"),  # checked there
                "drop_hardest": _number(settings, "drop", 0.0),
                "window": None if (low, high) == (0.0, 1.0) else (low, high), "allow_missing_shards": True,
            }
        )  # fmt: skip
        kept, about = choose(source_rows(self.table, arguments), arguments)
        dropped = about["dropped_hardest"]
        rows = passing(self.table, where) if where is not None and dropped else np.arange(len(self.table))
        status = statuses(self.scores.loss, kept, rows, dropped)
        return status, {"passing": about["passing"], **self._held(status)}

    def _held(self, status: np.ndarray) -> dict[str, Any]:
        kept = summed(self.scores.code[status == KEPT], len(self.scores.images)).tolist()
        return {**self.scores.held(status), "perImage": kept}

    def rows(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The number of rows that a gallery requests, and the first of them in its order."""
        scores = self.scores
        status, _ = self.chosen(query)
        rank = self._rank(query if query.get("given") != "1" else {})
        rows, show = np.arange(len(scores)), query.get("show", "all")
        if words := query.get("name", "").lower():
            rows = rows[np.array([words in image.lower() for image in scores.images])[scores.code]]
        if "image" in query:
            rows = rows[scores.code[rows] == int(query["image"])]
        if show in STATUS.values():
            rows = rows[status[rows] == next(s for s, word in STATUS.items() if word == show)]
        if show == "brush" and query.get("brush"):
            a, b, c, d = (float(v) for v in query["brush"].split(","))
            x, y = self._values(query.get("across", "loss"))[rows], self._values(query.get("up", "loss"))[rows]
            rows = rows[(x >= a) & (x <= b) & (y >= c) & (y <= d)]
        if show == "lasso" and query.get("lasso"):
            rows = np.intersect1d(rows, self._inside(query["lasso"]))
        down = query.get("down") == "1"
        if show == "like":
            rows = self._like(int(query.get("like", "0")), rows)
        elif show in ("at", "border"):
            kept = rank[status == KEPT]
            edges = [kept.min(), kept.max() + 1] if len(kept) else [0]
            goals = np.array([float(query.get("at", "0")) * len(scores)] if show == "at" else edges)
            far = np.abs(rank[rows][:, None] + 0.5 - goals).min(1)
            rows = rows[np.argsort(far, kind="stable")[:_PAGE]]
            rows = rows[np.argsort(rank[rows], kind="stable")]
        elif query.get("sort") == "name":
            order = np.argsort(np.argsort(np.array(scores.images)))[scores.code[rows]]
            rows = rows[np.argsort(-order if down else order, kind="stable")]
        else:
            values = self._values(query.get("sort", "loss"))[rows]
            known = np.isfinite(values)
            inside = rows[known][descending(values[known], "des" if down else "asc")]
            rows = np.concatenate([inside, rows[~known]])
        total, behind = len(rows), np.zeros(0, np.int64)
        if query.get("stacked") == "1":
            _, first, counts = np.unique(scores.code[rows], return_index=True, return_counts=True)
            order = np.argsort(first, kind="stable")
            rows, behind = rows[first[order]], counts[order] - 1
        begin = max(0, int(query.get("offset", "0")))
        page = slice(begin, begin + min(_PAGE, max(1, int(query.get("limit", "24")))))
        return {
            "found": total,
            "groups": len(rows),
            "shots": [self._shot(int(row), status, rank) for row in rows[page]],
            "behind": behind[page].tolist(),
        }

    def _rank(self, query: Mapping[str, str]) -> np.ndarray:
        """The ranks by the score that is chosen, or else by the loss."""
        return self.ranks.get(query.get("by", "loss"), self.ranks["loss"])

    def _values(self, name: str) -> np.ndarray:
        known = self.scores.extra | self.scores.scores | {"bicubic": self.scores.bicubic}
        if name not in known:
            raise InputError(f"column: expected one of {', '.join(self.columns)}, got {name!r}")
        return known[name]

    def _shot(self, row: int, status: np.ndarray, rank: np.ndarray) -> dict[str, Any]:
        scores = self.scores
        values: dict[str, Any] = {}
        for name, column in self.columns.items():
            if name in scores.words:
                words, code = scores.words[name]
                values[name] = words[code[row]] if code[row] >= 0 else None
            else:
                value = float(self._values(name)[row])
                values[name] = None if np.isnan(value) else bool(value) if column.kind == "flag" else value
        said = {KEPT: "Kept by this selection.", DROPPED: "Dropped: it is among the hardest by loss."}
        return {
            "row": row,
            "code": int(scores.code[row]),
            "image": scores.images[scores.code[row]],
            **{k: int(getattr(scores, k)[row]) for k in ("x", "y", "size")},
            "values": values,
            "status": STATUS[int(status[row])],
            "why": said.get(int(status[row]), "Left out by this selection."),
            "place": int(rank[row]),
        }

    def strip(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Rows at even steps along the order of a score."""
        rank = self._rank(query)
        n = min(12, len(rank))
        order = np.argsort(rank)
        status, _ = self.chosen(query)
        rows = [int(order[int((i + 0.5) * len(rank) / n)]) for i in range(n)]
        return {"shots": [self._shot(row, status, rank) for row in rows]}

    def map(self, image: int, query: Mapping[str, str]) -> dict[str, Any]:
        """All patches of one image."""
        scores = self.scores
        rows = np.flatnonzero(scores.code == image)
        status, _ = self.chosen(query)
        pixels, _ = self._image(image)
        columns = {"x": scores.x, "y": scores.y, "edge": scores.size, "shrink": scores.factor, "loss": scores.loss}
        columns["rank"] = self.ranks["loss"]
        return {
            "size": None if pixels is None else [pixels.shape[1], pixels.shape[0]],
            "row": rows.tolist(),
            **{name: column[rows].tolist() for name, column in columns.items()},
            "status": [STATUS[s] for s in status[rows].tolist()],
        }

    def textures(self) -> dict[str, Any]:
        """The map of textures: two principal components of the spectrum of each patch [M] (Pearson 1901)."""
        rows, _, plane, _ = self._textures()
        return {"row": packed(rows, "u32"), "x": packed(plane[:, 0], "f32"), "y": packed(plane[:, 1], "f32")}

    def _textures(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        with self._lock:
            return self._mapped

    @cached_property
    def _mapped(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rows [M], their features [M, d], two principal components of these [M, 2], and the features before they were
        standardised. The images are read once."""
        n = len(self.scores)
        at = np.unique(np.linspace(0, n - 1, min(n, TEXTURES)).astype(np.int64))
        rows = np.sort(self.scores.order[at])
        raw = describe(self.table, rows, self.images, spectrum)
        features = standardised(raw)
        _, directions = np.linalg.eigh(np.cov(features, rowvar=False)) if len(rows) > 1 else (0, np.eye(25))
        return rows, features, features @ directions[:, -2:][:, ::-1].astype(np.float32), raw

    def _inside(self, text: str) -> np.ndarray:
        """Rows inside a polygon x0,y0,x1,y1,... on the map of textures, by the even-odd rule."""
        corners = np.array([float(v) for v in text.split(",")]).reshape(-1, 2)
        rows, _, plane, _ = self._textures()
        x, y = plane[:, 0], plane[:, 1]
        inside = np.zeros(len(rows), bool)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            crosses = (ay > y) != (by > y)
            with np.errstate(divide="ignore", invalid="ignore"):
                inside ^= crosses & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
        return rows[inside]

    def _like(self, row: int, allowed: np.ndarray) -> np.ndarray:
        """Rows of the map of textures, those nearest to a row by spectrum first."""
        rows, features, _, raw = self._textures()
        if row in rows:
            own = features[np.searchsorted(rows, row)]
        else:
            own = standardised(describe(self.table, np.array([row]), self.images, spectrum), raw)[0]
        near = rows[np.argsort(((features - own) ** 2).sum(1), kind="stable")]
        return near[np.isin(near, allowed)]

    def picture(self, row: int, what: str) -> bytes:
        """One of the pictures of a row."""
        image, note = self._image(int(self.scores.code[row]))
        factor = float(self.scores.factor[row])
        pictures = {} if image is None else patch(shrunk(image, factor), self.scores, row, alone=what == "hr")[0]
        if what not in pictures:
            raise InputError(note or "there is no such picture")
        return pictures[what]

    def whole(self, image: int) -> bytes:
        """A whole image, reduced."""
        pixels, note = self._image(image)
        if pixels is None:
            raise InputError(note)
        return reduced(pixels)

    @cachetools.cachedmethod(lambda self: self._images, lock=lambda self: self._lock)
    def _image(self, code: int) -> Read:
        return source(self.scores, code)


def application(view: View, token: str) -> Starlette:
    """The page and what it requests, under ``/TOKEN/``; every other address is not found.

    Only host names of this machine are answered, so that a foreign page whose name is made to point here cannot read
    it.
    """

    def guarded(answer: Any) -> Any:
        def endpoint(request: Request) -> Response:
            if not secrets.compare_digest(request.path_params["token"].encode(), token.encode()):
                return Response(status_code=404)
            try:
                with view.budget.task():
                    response = answer(request)
            except (InputError, RunError, ValueError, KeyError, IndexError) as error:
                # A question that cannot be answered is an answer too; a browser would call another status a failure.
                return JSONResponse({"error": str(error)}, status_code=404 if "what" in request.path_params else 200)
            response.headers.update(
                {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
            )
            return response

        return endpoint

    answers: dict[str, Any] = {
        "/": lambda r: HTMLResponse(view.page(f"/{token}/")),
        "/select": lambda r: JSONResponse(view.chosen(r.query_params)[1]),
        "/rows": lambda r: JSONResponse(view.rows(r.query_params)),
        "/strip": lambda r: JSONResponse(view.strip(r.query_params)),
        "/textures": lambda r: JSONResponse(view.textures()),
        "/map/{image:int}": lambda r: JSONResponse(view.map(r.path_params["image"], r.query_params)),
        "/whole/{image:int}": lambda r: _file(view.whole(r.path_params["image"])),
        "/picture/{row:int}/{what}": lambda r: _file(view.picture(r.path_params["row"], r.path_params["what"])),
    }
    return Starlette(
        routes=[Route("/{token}" + path, guarded(answer), methods=["GET"]) for path, answer in answers.items()],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
    )


def _bytes(read: Read) -> int:
    """The size of an image among those that are kept; one that is larger than all of them is kept alone."""
    return 1 if read[0] is None else min(read[0].nbytes, CACHE)


def _file(data: bytes) -> Response:
    return Response(data, media_type=media_type(data))


def _number(query: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(query.get(name, default))
    except ValueError:
        raise InputError(f"{name}: expected a number, got {query[name]!r}") from None

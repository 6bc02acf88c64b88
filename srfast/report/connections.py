"""The connections of ``srfast view``: so few, and for so long without a question, that nobody can keep others out."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 48
"""Number of connections that are open at once; a browser opens six."""
AT_ONCE = 16
"""Number of connections that are accepted before those that are too many are ended."""
PATIENCE = 5.0
"""Seconds within which a connection must send its first request, and then each next one."""


class Limited(H11Protocol):
    """A connection; of too many, that which has waited longest without a question is ended."""

    late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.since = self.loop.time()
        self.late = self.loop.call_later(PATIENCE, self._end_if_silent)
        if len(self.connections) > MOST:
            idle = [c for c in self.connections if isinstance(c, Limited) and not c.busy]
            min(idle, key=lambda c: c.since, default=self).end()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.late is not None:
            self.late.cancel()
        super().connection_lost(exc)

    @property
    def busy(self) -> bool:
        """Whether a question is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def end(self) -> None:
        self.connections.discard(self)
        self.transport.abort()

    def _end_if_silent(self) -> None:
        if self.cycle is None:
            self.end()


def configured(application: Any) -> Config:
    """The configuration of a server of these connections, whose log holds errors of its own alone."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    return Config(
        application, http=Limited, backlog=AT_ONCE, timeout_keep_alive=int(PATIENCE), log_level="error",
        access_log=False, lifespan="off",
    )  # fmt: skip

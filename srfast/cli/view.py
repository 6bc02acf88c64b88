"""``srfast view``: the report's page with every patch, served on this machine."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from srfast.cli.options import emit, json_option, page_options, say


@click.command()
@page_options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port of the server. With 0, a free port is taken.",
)
@click.option(
    "--browser/--no-browser", default=True, show_default=True, help="Whether to open the page in the browser."
)
@json_option("the address")
def command(
    scores: tuple[Path, ...],
    coreset: Path | None,
    root: Path | None,
    scorer: Path | None,
    allow_missing_shards: bool,
    port: int,
    browser: bool,
    as_json: bool,
) -> None:
    """Serve the page of `srfast report` on 127.0.0.1, with every patch of SCORES instead of a sample, until Ctrl-C.

    The address contains a random token, and requests without it are refused. Conditions are those of `srfast select
    --where`, counts are exact, and pictures are cut from the images on demand. The server changes no file; the browser
    downloads the list of rejected patches. The command needs starlette and uvicorn: pip install 'srfast[view]'.
    """
    import secrets
    import socket
    import webbrowser
    from threading import Thread

    import uvicorn

    from srfast.coreset.selection import CoreSet
    from srfast.errors import InputError
    from srfast.report.connections import configured
    from srfast.report.server import View, application
    from srfast.scoring.stored import opened_rows

    table = opened_rows(scores, allow_missing_shards=allow_missing_shards)
    chosen = None if coreset is None else CoreSet.opened(coreset)
    view = View(table, chosen, [str(path) for path in scores], root, scorer)
    token = secrets.token_urlsafe(16)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(f"port: expected a free port, got {port} ({error.strerror})") from None
        listening.listen()  # who follows the address at once waits instead of being refused
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/{token}/"
        config = configured(application(view, token))
        # In a thread, where uvicorn leaves signals alone: it would raise them again inside its event loop.
        serving = Thread(target=uvicorn.Server(config).run, kwargs={"sockets": [listening]}, daemon=True)
        # A signal ends a view.
        with suppress(KeyboardInterrupt):
            serving.start()
            if as_json:
                emit({"address": address, "patches": len(table)})
            else:
                click.echo(address)
            say("Ctrl-C ends it.")
            if browser:
                webbrowser.open(address)
            while serving.is_alive():
                serving.join(0.5)  # no signal ends an unlimited one on Windows

"""Look at a study in optuna-dashboard: `python -m search.dashboard --study NAME`.

It shows the study while trials run, too. Each trial's files can be downloaded; the study's note
has the recommendation, the table and the front, its page the report's plots. The report itself is
served beside it, and refreshes itself while the study runs.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from search.settings.parsing import OneLineParser, add_study_location

LOOPBACK = "127.0.0.1"
REPORT = "/report"
"""Path that the study's report is served at."""
NO_REPORT = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>No report yet</title>
<meta http-equiv="refresh" content="5">
<p>No trial has finished yet: this page looks again every 5 seconds.
"""
App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""What WSGI calls an application."""


class _Server(ThreadingMixIn, WSGIServer):
    """Answers several requests at a time."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Prints no line for each request."""

    def log_message(self, *_: object) -> None:
        pass


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m search.dashboard", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--study", required=True, metavar="NAME")
    add_study_location(parser)
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        help="address to listen on; another than loopback lets everybody who reaches it read and "
        f"change studies (default: {LOOPBACK})",
    )
    parser.add_argument(
        "--port", type=_port, default=8080, help="0 takes any that is free (default: 8080)"
    )
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535, but got {port}")
    return port


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the dashboard until Ctrl-C; return the exit code."""
    options = _parser().parse_args(argv)

    from models.errors import BadInputError
    from search.storage.found import load_located

    try:
        study, paths = load_located(options.studies_dir, options.study, options.storage)
        server = _bind(options.host, options.port)
    except BadInputError as err:
        print(err, file=sys.stderr)
        return 2

    from optuna_dashboard import wsgi

    from search.storage.downloads import Downloads

    app = wsgi(study._storage, artifact_store=Downloads(paths.root, study._storage))
    server.set_app(with_report(app, paths.report("html")))
    host = f"http://{options.host}:{server.server_port}"
    print(f"{host}/dashboard/studies/{study._study_id}  (Ctrl-C ends it)")
    print(f"{host}{REPORT}  the report, which refreshes itself while the study runs", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
    return 0


def with_report(app: App, file: Path) -> App:
    """Return `app`, which also serves the report."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].rstrip("/") != REPORT:
            return app(environ, start_response)
        kept = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")]
        start_response("200 OK", kept)
        return [file.read_bytes() if file.is_file() else NO_REPORT]

    return answer


def _bind(host: str, port: int) -> WSGIServer:
    """Return a server without an application.

    Raises:
        BadInputError: The port is taken, or the address not ours.
    """
    from models.errors import BadInputError

    try:
        return make_server(host, port, lambda *_: [], server_class=_Server, handler_class=_Quiet)
    except OSError as err:
        raise BadInputError(f"`--host {host} --port {port}`: {err.strerror}.") from err


if __name__ == "__main__":
    sys.exit(main())

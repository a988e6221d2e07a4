"""
The page of a run that is going on, served on this machine alone: `trl-r1 report --watch RUN`.

The page asks every two seconds whether the run has changed, and then reloads itself where it was scrolled to. It is built when
it is asked for, and never so often that building takes more than a tenth of the time.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from ..lineage import read_run
from .page import render


PORT = 8421
LEAST_SECONDS = 5.0
PACE = 10  # so many times as long as building takes
_LOCAL = ("127.0.0.1", "localhost")


class Watched:
    """
    The runs that are watched, and their page.

    Args:
        run_dirs (`Sequence[Path]`):
            The runs.
        clock (`Callable`, *optional*):
            Seconds, for the pace.
    """

    def __init__(self, run_dirs: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self.run_dirs, self.clock = run_dirs, clock
        self.version = stamp_of(run_dirs)
        self._built = ("", b"")
        self._due = 0.0

    def now(self) -> str:
        """What the page is a version of; it changes when the run has changed and a new page is due."""
        if self.clock() >= self._due:
            self.version = stamp_of(self.run_dirs)
        return self.version

    def page(self) -> bytes:
        """The page of this version."""
        version = self.now()
        if self._built[0] != version:
            begun = self.clock()
            html = render(*map(read_run, self.run_dirs), watched=True)
            self._built = (version, html.encode())
            self._due = self.clock() + max(LEAST_SECONDS, PACE * (self.clock() - begun))
        return self._built[1]


def stamp_of(run_dirs: Sequence[Path]) -> str:
    """When anything that a page shows was last changed: the files of a run, of its stages, and the shards of rollouts."""
    newest = 0
    for run_dir in run_dirs:
        for pattern in ("*.json", "*.yaml", "*/*"):
            for path in run_dir.glob(pattern):
                with contextlib.suppress(OSError):  # gone meanwhile
                    newest = max(newest, path.stat().st_mtime_ns)
    return str(newest)


def serve(run_dirs: Sequence[Path], say: Callable[[str], None] = print, port: int = PORT) -> HTTPServer:
    """
    Return a server of the page of these runs, which its `serve_forever` starts.

    Args:
        run_dirs (`Sequence[Path]`):
            One run, or several to compare.
        say (`Callable`, *optional*):
            What is told the address.
        port (`int`, *optional*, defaults to `8421`):
            The port; where it is taken, any other.

    Raises:
        [`~errors.ConfigError`]: if a run directory is none.
    """
    for run_dir in run_dirs:
        read_run(run_dir)
    watched = Watched(run_dirs)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A page of the web may ask by a name of its own that leads here: it gets nothing.
            if self.headers.get("Host", "").rsplit(":", 1)[0] not in _LOCAL:
                return self.send_error(403)
            if self.path == "/version":
                return self.answer(watched.now().encode(), "text/plain")
            if self.path == "/":
                return self.answer(watched.page(), "text/html; charset=utf-8")
            return self.send_error(404)

        def answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the reader has gone
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Requests every two seconds are nothing to tell."""

    try:
        server = HTTPServer(("127.0.0.1", port), Handler)
    except OSError:
        server = HTTPServer(("127.0.0.1", 0), Handler)
    say(f"The page of {', '.join(map(str, run_dirs))}: http://127.0.0.1:{server.server_port}/   (Ctrl-C ends it)")
    return server

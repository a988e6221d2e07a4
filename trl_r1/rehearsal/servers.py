"""
Servers that a recipe names: is one there, and what stands in for it where none is. Torch-free.

A server that does not answer is a fault. So that the stages after it are rehearsed all the same, a server of our own
takes its place, which gives verdicts, scores and completions without sense.
"""

import contextlib
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from .completions import completions_of


_CONNECT_SECONDS = 5.0


def answers(url: str) -> str | None:
    """Return why nothing answers at an address; `None` where something does."""
    parts = urlsplit(url)
    try:
        port = parts.port or {"https": 443}.get(parts.scheme, 80)
        with socket.create_connection((parts.hostname or "", port), _CONNECT_SECONDS):
            return None
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)


class _StandIn(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        messages = request.get("messages")
        asked = str(messages[-1]["content"] if messages else request.get("prompt", ""))
        choices = [self._choice(asked, i, messages is not None) for i in range(int(request.get("n") or 1))]
        body = json.dumps({"choices": choices, "usage": {"completion_tokens": 40, "total_tokens": 80}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _choice(self, asked: str, i: int, chat: bool) -> dict[str, Any]:
        text = _reply(asked, i)
        said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        return {"index": i, "finish_reason": "stop", **said}

    def log_message(self, *args: Any) -> None:
        pass


def _reply(asked: str, i: int) -> str:
    drawn = hashlib.sha256(f"{i}{asked}".encode()).digest()
    if '"score_a"' in asked:
        return json.dumps({"analysis": "a stand-in", "score_a": 1 + drawn[0] % 10, "score_b": 1 + drawn[1] % 10})
    if '"verdict"' in asked:
        offered = re.findall(r'"([^"]+)"', asked.rpartition('"verdict":')[2]) or ["tie"]
        return json.dumps({"analysis": "a stand-in", "verdict": offered[drawn[0] % len(offered)]}, ensure_ascii=False)
    return completions_of({"prompt": asked}, 1)[0].text


@contextlib.contextmanager
def stand_in_server() -> Iterator[str]:
    """Serve on a free port of this machine; gives the address of its API."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _StandIn)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()

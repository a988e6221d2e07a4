"""A server with the OpenAI protocol, in a thread, that answers as it is told."""

import contextlib
import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread


@contextlib.contextmanager
def stub_server(answer: Callable[[str, dict], tuple], prompt_end: str | None = None):
    """
    Serve on a free port; yield the base URL and the list of requests.

    Args:
        answer (`Callable`):
            Called with the path and the request; gives a status, the answer's JSON (or text) and, where wanted, headers.
            In place of the JSON stands a function, called with the request handler, where an answer is to go wrong.
        prompt_end (`str`, *optional*):
            The end of every prompt that its chat template makes, which it tells as vLLM does. Requests for it are not
            among those yielded.
    """
    requests: list[dict] = []
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path in ("/tokenize", "/detokenize"):
                told = {"tokens": [1]} if self.path == "/tokenize" else {"prompt": prompt_end}
                status, content, *headers = (404, "no such path") if prompt_end is None else (200, told)
            else:
                with lock:
                    requests.append({"path": self.path, "authorization": self.headers.get("Authorization"), **request})
                    status, content, *headers = answer(self.path, request)
            if callable(content):
                content(self)
                self.close_connection = True
                return
            body = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            for name, value in (headers[0] if headers else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()


def choices(*texts: str, chat: bool = True, tokens: int = 0, finish_reason: str = "stop") -> dict:
    """Return the JSON of an answer with these choices."""
    return {
        "choices": [
            {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
            if chat
            else {"text": text, "finish_reason": finish_reason}
            for text in texts
        ],
        "usage": {"completion_tokens": tokens},
    }


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Begin an answer and cut the connection."""
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"choices": [')


def trickle(handler: BaseHTTPRequestHandler, seconds: float = 20.0) -> None:
    """Answer byte by byte, so that no single wait is long: "too late", for a client that waits that long."""
    body = json.dumps({"choices": [{**choices("too late")["choices"][0], "text": "too late"}]}).encode()
    waits = int(seconds / 0.02)
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (waits + len(body)))
    with contextlib.suppress(OSError):
        for _ in range(waits):
            handler.wfile.write(b" ")
            time.sleep(0.02)
        handler.wfile.write(body)


def stream(*pieces: str, chat: bool = True, key: str = "content", finish_reason: str | None = "stop", usage: int = 0):
    """Answer with a stream of events; without a `finish_reason` it is cut after the pieces."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n: hello\n\n")
        said = [{"delta": {key: piece}} if chat else {"text": piece} for piece in pieces]
        events = [{"choices": [{"index": 0, **each, "finish_reason": None}]} for each in said]
        if finish_reason:
            events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]})
        if usage:
            events.append({"choices": [], "usage": {"completion_tokens": usage, "total_tokens": 2 * usage}})
        for event in events:
            handler.wfile.write(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())
        if finish_reason:
            handler.wfile.write(b"data: [DONE]\n\n")

    return answer

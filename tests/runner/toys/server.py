"""A server that knows one answer: `python -m toys.server PORT ANSWER`."""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = {"/health": "ok", "/answer": sys.argv[2], "/pid": str(os.getpid())}.get(self.path)
        self.send_response(200 if text else 404)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, *args: object) -> None:
        pass


if __name__ == "__main__":
    # As the engine of a server of models is: a process of its own.
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    ThreadingTCPServer.allow_reuse_address = True  # `HTTPServer` would ask for the name of this machine, for seconds
    ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()

"""An engine of a user's own, for tests: like vLLM's it needs a process of its own, and to be closed before that ends."""

import os
import threading

from trl_r1.sampling import Engine, Sample


class OwnProcessEngine(Engine):
    needs_own_process = True

    def __init__(self, model, config):
        super().__init__(model, config)
        self.closed = threading.Event()
        # As a process with vLLM's engine does, this one waits at its end for what was not shut down.
        threading.Thread(target=lambda: self.closed.wait(60) or os._exit(3)).start()

    def generate(self, questions, n, seed):
        return [[Sample(f"<think>{self.model_name}</think> {os.getpid()}", "stop", 4)] * n for _ in questions]

    def close(self):
        self.closed.set()


ENGINE = OwnProcessEngine

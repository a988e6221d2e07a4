"""An executor for the tests: a fresh interpreter, without any isolation."""

import subprocess
import sys

from trl_r1.sandbox import Outcome, Program


class Interpreter:
    """Runs Python programs, and `cat` for what is not Python."""

    def run(self, program: Program) -> Outcome:
        if "BREAK" in program.source:
            raise OSError("lost")
        argv = [sys.executable, "-I", "-S", "-c", program.source] if program.language == "python" else ["cat"]
        try:
            done = subprocess.run(
                argv, input=program.stdin, capture_output=True, timeout=30 * program.limits.cpu_seconds
            )
        except subprocess.TimeoutExpired:
            return Outcome(-9, b"", limit="time_limit")
        return Outcome(done.returncode, done.stdout, done.stderr, compiled=program.source != "does not compile")

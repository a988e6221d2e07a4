"""
vLLM itself, on a CPU, in an environment of its own: `constraints-vllm.txt`, and the command in CONTRIBUTING.

Elsewhere these tests are skipped, and unless `-m vllm` asks for them they are left out. An engine is three processes, each
of which imports vLLM: some 25 s of one core for each engine that a test makes.
"""

from importlib.util import find_spec

import pytest


needs_vllm = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM, in an environment of its own: see CONTRIBUTING"),
]
SECONDS = 2400  # of patience with a busy machine

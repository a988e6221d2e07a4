import os

import pytest

from .model import make_reciting_model


# What vLLM needs on a small CPU. The processes of an engine take it over.
SETTINGS = {
    "TORCH_COMPILE_DISABLE": "1",  # compiling takes minutes of one core, and nothing here is about speed
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB, in place of a share of the machine's memory
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}


@pytest.fixture(scope="session", autouse=True)
def settings():
    """Set before anything here imports vLLM, and only where tests of vLLM run."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setitem(os.environ, name, value)
        yield


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    return make_reciting_model(tmp_path_factory.mktemp("model") / "reciting")

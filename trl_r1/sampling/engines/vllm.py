"""
The engine `vllm`: vLLM in this process. The same prompts, token for token, as the engine `transformers` gets.
"""

import logging
from collections.abc import Sequence
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from typing import Any

from ...errors import MachineError
from ...ids import parse_hub_id
from ..config import SamplingConfig
from ..engine import Engine, Sample, prompt_seed
from ..prompts import load_tokenizer, prompt_ids


logger = logging.getLogger(__name__)


class VllmEngine(Engine):
    """A checkpoint in a vLLM engine."""

    # vLLM does not give back all of a GPU's memory within a process, so the next model would not fit.
    needs_own_process = True

    def __init__(self, model: str, config: SamplingConfig) -> None:
        try:
            import vllm
        except ImportError as error:
            raise MachineError("`backend: vllm` needs vLLM: pip install trl_r1[vllm]") from error
        super().__init__(model, config)
        self.vllm = vllm
        self.tokenizer = load_tokenizer(model)
        self.engine = vllm.LLM(**engine_arguments(model, config))

    @classmethod
    def check_machine(cls, config: SamplingConfig) -> None:
        """Ask for vLLM."""
        if find_spec("vllm") is None:
            raise MachineError("the package vllm (`backend: vllm`): pip install trl_r1[vllm]")

    @classmethod
    def gpus(cls, config: SamplingConfig) -> int:
        """Return over how many GPUs the model is spread; vLLM built for CPUs needs none."""
        installed = packages_distributions().get("vllm", ())
        return 0 if any("cpu" in f"{name} {version(name)}" for name in installed) else config.tensor_parallel_size

    def generate(self, questions: Sequence[str], n: int, seed: int) -> list[list[Sample]]:
        """Complete each question `n` times. See [`~sampling.Engine`]."""
        ids, prefixes = prompt_ids(self.tokenizer, questions, self.config)
        window = self.engine.llm_engine.model_config.max_model_len
        fitting = [i for i, each in enumerate(ids) if len(each) < window]
        if len(fitting) < len(ids):
            longest = max(map(len, ids))
            logger.warning(
                "%d of %d prompts leave no room for a completion: the longest has %d tokens, the model's window %d",
                len(ids) - len(fitting),
                len(ids),
                longest,
                window,
            )
        # A seed per prompt, so that what a prompt gets does not hang on what else is in the engine.
        parameters = [
            self.vllm.SamplingParams(**sampling_arguments(self.config, n, prompt_seed(seed, i, n))) for i in fitting
        ]
        prompts = [{"prompt_token_ids": ids[i]} for i in fitting]
        outputs = self.engine.generate(prompts, parameters, use_tqdm=False) if prompts else []
        samples = [[Sample.missing("prompt_too_long")] * n for _ in ids]
        for i, output in zip(fitting, outputs, strict=True):
            each = [
                Sample(
                    prefixes[i] + choice.text,
                    "length" if choice.finish_reason == "length" else "stop",
                    len(choice.token_ids),
                )
                for choice in output.outputs
            ]
            samples[i] = each * (n // len(each))  # one, where n greedy ones were asked for
        return samples

    def close(self) -> None:
        """End vLLM's own processes: the process that made them would wait for them for ever when it ends."""
        self.engine.llm_engine.engine_core.shutdown()


def engine_arguments(model: str, config: SamplingConfig) -> dict[str, Any]:
    """Return the arguments of `vllm.LLM`."""
    name, revision = parse_hub_id(model)
    return {
        "model": name,
        "revision": revision,
        "tokenizer_revision": revision,
        "dtype": config.dtype,
        "seed": config.seed,
        "tensor_parallel_size": config.tensor_parallel_size,
        "gpu_memory_utilization": config.gpu_memory_utilization,
        "max_model_len": config.max_model_length or None,
        # The model's own generation config would add its top-k and penalties.
        "generation_config": "vllm",
    }


def sampling_arguments(config: SamplingConfig, n: int, seed: int) -> dict[str, Any]:
    """Return the arguments of `vllm.SamplingParams`. A greedy completion is asked for once: vLLM refuses more."""
    greedy = config.temperature == 0
    return {
        "n": 1 if greedy else n,
        "temperature": config.temperature,
        "top_p": 1.0 if greedy else config.top_p,
        "top_k": -1 if greedy or not config.top_k else config.top_k,
        "max_tokens": config.max_completion_tokens,
        "seed": seed,
        "skip_special_tokens": True,
    }


ENGINE = VllmEngine

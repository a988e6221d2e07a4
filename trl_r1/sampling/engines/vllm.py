"""
The engine `vllm`: vLLM in this process. The same prompts, token for token, as the engine `transformers` gets.
"""

import itertools
import logging
import os
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from typing import Any

from ...errors import MachineError
from ...ids import parse_hub_id
from ..config import SamplingConfig
from ..engine import Engine, Request, Sample
from ..prompts import load_tokenizer, prompt_ids


logger = logging.getLogger(__name__)


class VllmEngine(Engine):
    """A checkpoint in a vLLM engine."""

    rolling = True
    # vLLM does not give back all of a GPU's memory within a process, so the next model would not fit.
    needs_own_process = True

    def __init__(self, model: str, config: SamplingConfig) -> None:
        try:
            import vllm
        except ImportError as error:
            raise MachineError("`backend: vllm` needs vLLM: pip install trl_r1[vllm]") from error
        super().__init__(model, config)
        _take_own_gpus(config.tensor_parallel_size)
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

    def complete(self, requests: Iterator[Request | None]) -> Iterator[tuple[Request, Sample]]:
        """
        Keep vLLM's queue filled, so that a sequence that ends is followed at once by a next one. See [`~sampling.Engine`].
        """
        engine = self.engine.llm_engine
        room = 2 * engine.vllm_config.scheduler_config.max_num_seqs
        window = engine.model_config.max_model_len
        under_way: dict[str, tuple[Request, str]] = {}
        more, numbers, too_long = True, itertools.count(), 0
        try:
            while True:
                while more and len(under_way) < room:
                    request = next(requests, _END)
                    if not isinstance(request, Request):
                        more = request is not _END
                        break
                    (ids,), (prefix,) = prompt_ids(self.tokenizer, [request.question], self.config)
                    if len(ids) >= window:
                        if not too_long:
                            logger.warning(
                                "a prompt leaves no room for a completion: it has %d tokens, the model's window %d",
                                len(ids),
                                window,
                            )
                        too_long += 1
                        yield request, Sample.missing("prompt_too_long")
                        continue
                    parameters = self.vllm.SamplingParams(
                        **sampling_arguments(self.config, request.seed),
                        output_kind=self.vllm.sampling_params.RequestOutputKind.FINAL_ONLY,
                    )
                    name = str(next(numbers))
                    under_way[name] = request, prefix
                    engine.add_request(name, {"prompt_token_ids": ids}, parameters)
                if not under_way:
                    if not more:
                        break
                    continue
                for output in engine.step():
                    if output.finished:
                        request, prefix = under_way.pop(output.request_id)
                        (choice,) = output.outputs
                        finish_reason = "length" if choice.finish_reason == "length" else "stop"
                        yield request, Sample(prefix + choice.text, finish_reason, len(choice.token_ids))
        finally:
            if under_way:
                engine.abort_request(list(under_way))
            if too_long > 1:
                logger.warning("%d prompts in all leave no room for a completion", too_long)

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


def sampling_arguments(config: SamplingConfig, seed: int) -> dict[str, Any]:
    """Return the arguments of `vllm.SamplingParams`."""
    greedy = config.temperature == 0
    return {
        "temperature": config.temperature,
        "top_p": 1.0 if greedy else config.top_p,
        "top_k": -1 if greedy or not config.top_k else config.top_k,
        "max_tokens": config.max_completion_tokens,
        "seed": seed,
        "skip_special_tokens": True,
    }


def _take_own_gpus(n: int) -> None:
    """Leave vLLM the GPUs of this worker, where several on a machine share a job."""
    if int(os.environ.get("WORLD_SIZE") or 1) > 1 and os.environ.get("LOCAL_RANK"):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        first = n * int(os.environ["LOCAL_RANK"])
        own = visible.split(",")[first : first + n] if visible else map(str, range(first, first + n))
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(own)


_END: Any = object()

ENGINE = VllmEngine

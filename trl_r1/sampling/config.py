"""
How to sample. Torch-free.
"""

from dataclasses import dataclass

from ..docstrings import help_from_docstring
from ..errors import expect
from .engine import engine_of


@help_from_docstring
@dataclass
class SamplingConfig:
    """
    How to sample completions.

    Args:
        prompt_template (`str`):
            How a question becomes a prompt: `"chat"`, `"r1_zero"`, `"plain"` or a text that contains `{prompt}`. It must
            be the one that the model was trained with, so there is no default.
        completion_prefix (`str`, *optional*, defaults to `""`):
            Text with which every completion starts, such as `"<think>\\n"` (paper, v2 D.1). Traces hold it. A
            `<think>` that the chat template itself writes is held too.
        n_samples (`int`, *optional*, defaults to `16`):
            Completions per prompt; with `until_accepted`, the most.
        until_accepted (`int`, *optional*):
            Stop sampling a prompt when so many of its samples are solved, by the accuracy rewards (see [`~solved`]). For
            builders that have such rewards; an evaluation takes none, since its numbers would be biased.
        samples_at_once (`int`, *optional*, defaults to `4`):
            With `until_accepted`: how many samples of a prompt are asked for at a time, and scored before the next. Our
            own choice.
        max_failed_share (`float`, *optional*, defaults to `0.05`):
            Share of the prompts that may fail, after all retries, before the job stops. What has failed is recorded with
            its reason, and asked for again at the next start. A single prompt stops no job, unless this is 0. Our own
            choice.
        temperature (`float`, *optional*, defaults to `1.0`):
            Temperature; `0` is greedy decoding. (Paper: 1.0 in RL and for R1-Zero's trajectories, v2 2.1 and B.3.2; 0.6
            with `top_p` 0.95 in evaluation, v2 D.1.)
        top_p (`float`, *optional*, defaults to `1.0`):
            Nucleus sampling.
        top_k (`int`, *optional*, defaults to `0`):
            Sample among the `top_k` most probable tokens; `0`: among all.
        max_completion_tokens (`int`, *optional*, defaults to `32768`):
            Where a completion is cut (paper, v2 D.1).
        seed (`int`, *optional*, defaults to `0`):
            Each sample's seed is made from it, the prompt's id and the sample's number.
        shard_prompts (`int`, *optional*, defaults to `64`):
            Prompts to a shard, at most: how many of them stand in one parquet file, and are scored at once. What a kill
            costs does not hang on it.
        batch_size (`int`, *optional*, defaults to `64`):
            Sequences that an engine generates at once which takes them in batches (`transformers`): what a kill costs
            there at most. `vllm` and `server` lose what is in flight.
        backend (`str`, *optional*, defaults to `"transformers"`):
            The engine: `"transformers"`, `"vllm"`, `"server"`, or the dotted name of a module of your own with an
            [`~sampling.Engine`].
        dtype (`str`, *optional*, defaults to `"auto"`):
            Type of the weights (`float32`, `bfloat16`, ...); `"auto"`: as they were saved.
        tensor_parallel_size (`int`, *optional*, defaults to `1`):
            GPUs over which the engine spreads the model (`vllm`).
        gpu_memory_utilization (`float`, *optional*, defaults to `0.9`):
            Share of each GPU's memory that the engine may use (`vllm`).
        max_model_length (`int`, *optional*):
            Longest prompt and completion together, in tokens (`vllm`). The model's own by default.
        base_url (`str` or `list[str]`, *optional*):
            Where the server's API starts, such as `http://localhost:8000/v1`. Of several servers with the same model, each
            request goes to the one with the fewest under way.
        server_model (`str`, *optional*):
            The model's name at the server. By default the stage's model.
        server_concurrency (`int`, *optional*, defaults to `32`):
            Requests under way at once, at each server.
        server_timeout_seconds (`float`, *optional*, defaults to `600.0`):
            How long a server may be silent: until the first token of an answer, and between two. An answer may take as long
            as it takes. (Of a server that does not stream: how long the whole answer may take.)
        server_retries (`int`, *optional*, defaults to `6`):
            How often a request that failed for now (429, 5xx, no connection) is tried again, waiting twice as long each
            time.
        api_key_variable (`str`, *optional*, defaults to `"OPENAI_API_KEY"`):
            Environment variable with the server's key, where it wants one.
    """

    prompt_template: str
    completion_prefix: str = ""
    n_samples: int = 16
    until_accepted: int | None = None
    samples_at_once: int = 4
    max_failed_share: float = 0.05
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_completion_tokens: int = 32768
    seed: int = 0
    shard_prompts: int = 64
    batch_size: int = 64
    backend: str = "transformers"
    dtype: str = "auto"
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    max_model_length: int | None = None
    # In this order, in which `HfArgumentParser` takes a text from the command line.
    base_url: str | None | list[str] = None  # noqa: RUF036
    server_model: str | None = None
    server_concurrency: int = 32
    server_timeout_seconds: float = 600.0
    server_retries: int = 6
    api_key_variable: str = "OPENAI_API_KEY"

    def __post_init__(self) -> None:
        for key in (
            "n_samples",
            "samples_at_once",
            "max_completion_tokens",
            "shard_prompts",
            "batch_size",
            "server_concurrency",
        ):
            expect(self, key, getattr(self, key) >= 1, "at least 1")
        if self.until_accepted is not None:
            expect(self, "until_accepted", self.until_accepted >= 1, "at least 1")
        expect(self, "max_failed_share", 0 <= self.max_failed_share <= 1, "a share from 0 to 1")
        expect(self, "temperature", self.temperature >= 0, "0 or more")
        expect(self, "top_p", 0 < self.top_p <= 1, "a share above 0 and at most 1")
        engine_of(self.backend).check(self)

    @property
    def servers(self) -> list[str]:
        """The addresses in `base_url`."""
        return self.base_url if isinstance(self.base_url, list) else [self.base_url] if self.base_url else []

    @property
    def distribution(self) -> dict[str, object]:
        """What a trace says about how it was sampled."""
        keys = ("temperature", "top_p", "top_k", "max_completion_tokens", "prompt_template", "backend")
        return {key: getattr(self, key) for key in keys}

"""
The engine `transformers`: its `generate`, in batches, on the GPU or the CPU of this process.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ...ids import parse_hub_id
from ..config import SamplingConfig
from ..engine import Engine, Sample
from ..prompts import load_tokenizer, prompt_ids


if TYPE_CHECKING:
    from transformers import GenerationConfig


class TransformersEngine(Engine):
    """A checkpoint in this process."""

    def __init__(self, model: str, config: SamplingConfig) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        super().__init__(model, config)
        self.tokenizer = load_tokenizer(model)
        name, revision = parse_hub_id(model)
        # Several workers have a GPU each.
        of_several = int(os.environ.get("WORLD_SIZE") or 1) > 1
        place = {"": int(os.environ.get("LOCAL_RANK") or 0)} if of_several else "auto"
        try:
            self.model = AutoModelForCausalLM.from_pretrained(
                name, revision=revision, dtype=config.dtype, device_map=place if torch.cuda.is_available() else None
            ).eval()
        except (OSError, ValueError, AttributeError) as error:
            raise ConfigError(f"cannot be loaded: {error}", file=model, key="model_name_or_path") from error
        ends = self.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        self.ends = sorted({end for end in (*ends, self.tokenizer.eos_token_id) if end is not None})
        self.model.generation_config = self.generation = self._generation(config)

    def _generation(self, config: SamplingConfig) -> "GenerationConfig":
        from transformers import GenerationConfig

        greedy = config.temperature == 0
        # All explicit: the model's own generation config would add its top-k and penalties.
        return GenerationConfig(
            max_new_tokens=config.max_completion_tokens,
            do_sample=not greedy,
            temperature=None if greedy else config.temperature,
            top_p=None if greedy else config.top_p,
            top_k=None if greedy else config.top_k,
            eos_token_id=self.ends or None,
            pad_token_id=self.tokenizer.pad_token_id,
            bos_token_id=self.tokenizer.bos_token_id,
        )

    def sampling_as(self, config: SamplingConfig) -> Engine:
        """Return an engine with the same weights that samples by another config."""
        other: TransformersEngine = super().sampling_as(config)  # type: ignore[assignment]
        other.generation = self._generation(config)
        return other

    def generate(self, questions: Sequence[str], n: int, seed: int) -> list[list[Sample]]:
        """Complete each question `n` times. See [`~sampling.Engine`]."""
        import torch

        from ...compact_generation import compact_rows

        ids, prefixes = prompt_ids(self.tokenizer, questions, self.config)
        # Prompts of similar length share a batch: less padding, and fewer positions to compute.
        todo = sorted((i for i in range(len(ids)) for _ in range(n)), key=lambda i: len(ids[i]))
        torch.manual_seed(seed)
        samples: list[list[Sample]] = [[] for _ in ids]
        for start in range(0, len(todo), self.config.batch_size):
            batch = todo[start : start + self.config.batch_size]
            inputs = self.tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt")
            inputs = inputs.to(self.model.device)
            with torch.inference_mode(), compact_rows(self.model, self.ends or None):
                output = self.model.generate(**inputs, generation_config=self.generation)  # (B, prompt + completion)
            completions = output[:, inputs["input_ids"].shape[1] :].tolist()
            for i, tokens in zip(batch, completions):
                length = next((n for n, token in enumerate(tokens, start=1) if token in self.ends), None)
                text = self.tokenizer.decode(tokens[: length and length - 1], skip_special_tokens=True)
                finish_reason = "length" if length is None else "stop"
                samples[i].append(Sample(prefixes[i] + text, finish_reason, length or len(tokens)))
        return samples


ENGINE = TransformersEngine

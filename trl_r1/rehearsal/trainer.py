"""The trainer of a rehearsed `grpo` stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from ..grpo.rollout import Rollout
from ..grpo.trainer import _PREFILLED, R1GRPOTrainer
from ..text import style_of_template
from .completions import completions_of
from .ends import check_end


TOKENS = 8  # that the model itself samples


class RehearsedGRPOTrainer(R1GRPOTrainer):
    """
    [`~grpo.trainer.R1GRPOTrainer`] whose model samples a few tokens, by whatever samples them, in whose place completions
    are put that are right or spoilt (see [`~rehearsal.completions`]).
    """

    def __init__(self, model: Any, *rest: Any, **named: Any) -> None:
        super().__init__(model, *rest, **named)
        self._rows: Sequence[Mapping[str, Any]] = ()
        prompt = self.train_dataset[0]["prompt"]
        if isinstance(model, str):
            template = "plain" if isinstance(prompt, str) else "chat"
            check_end(model, self.text_tokenizer, template, list(self.eos_token_ids))

    @override
    def _sample(self, inputs: Any, further_round: int = 0) -> tuple[Rollout, dict[str, Any]]:
        self._rows = inputs
        return super()._sample(inputs, further_round)

    @override
    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        limit = self.max_completion_length
        self._set_completion_length(TOKENS)
        prompt_ids, _, tool_mask, completions, logps, extra_fields, *images = super()._generate(prompts)
        self._set_completion_length(limit)
        size = self.num_generations if self.model.training else self.num_generations_eval
        first = self.accelerator.process_index * len(prompts)
        ids, texts = [], []
        for i, (row, prompt) in enumerate(zip(self._rows, prompts, strict=True)):
            template = prompt if isinstance(prompt, str) else self.text_tokenizer.chat_template
            style = style_of_template(template) if isinstance(template, str) else "think"
            place, member = divmod(first + i, size)
            one = completions_of(row, size, style, place)[member]
            text = one.text.removeprefix("<think>") if extra_fields[_PREFILLED][i] else one.text
            tokens = self.text_tokenizer(text, add_special_tokens=False)["input_ids"]
            tokens = tokens if one.finish_reason == "length" else [*tokens, self.eos_token_ids[0]]
            ids.append(tokens[:limit])
            texts.append(self.text_tokenizer.decode(tokens[:limit], skip_special_tokens=True))
        if not isinstance(completions[0], str):
            completions = [[{"role": "assistant", "content": text}] for text in texts]
        else:
            completions = texts
        if logps is not None:  # of what was sampled; as good as any for what was not
            logps = [[given[0]] * len(tokens) for given, tokens in zip(logps, ids, strict=True)]
        return prompt_ids, ids, tool_mask, completions, logps, extra_fields, *images

"""
The text that a preference model scores: one form for its training and for its use as a reward.

Paper, v1 2.3.4: helpfulness looks at the final summary only, harmlessness at the whole response. How the paper lays out
prompt and response for its reward models is not stated; here they stand as they stand for the policy.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError
from ..text import render_prompt, split_completion


# Stands beside the weights of a preference model that the `reward` stage trained.
PREFERENCE_FORM_FILE = "preference_form.json"


@dataclass(frozen=True)
class PreferenceForm:
    """
    How prompt and response become what a preference model reads.

    Args:
        prompt_template (`str`, *optional*, defaults to `"chat"`):
            See [`~text.render_prompt`].
        part (`str`, *optional*, defaults to `"all"`):
            `"all"` of the response, or its `"summary"`: what follows the thought.
        max_length (`int`, *optional*):
            Longer texts were left out of the training, in tokens; a reward cuts them there, at the end.
    """

    prompt_template: str = "chat"
    part: Literal["all", "summary"] = "all"
    max_length: int | None = None

    def __post_init__(self) -> None:
        if self.part not in ("all", "summary"):
            raise ConfigError(f"expected `all` or `summary`, got {self.part!r}", key="part")

    def token_ids(self, tokenizer: Any, question: str, response: str) -> list[int]:
        """
        Return the tokens of a question with a response to it, uncut.

        Args:
            tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
                The preference model's.
            question (`str`):
                The question as a user writes it, without template.
            response (`str`):
                The response. One whose thought was opened by its prompt must come with the `<think>` put back.
        """
        if self.part == "summary":
            # A thought that is never closed has no summary: what is scored is silence.
            response = split_completion(response).answer or ""
        prompt = render_prompt(self.prompt_template, question)
        if isinstance(prompt, str):
            text = prompt + response
            if tokenizer.eos_token and not text.endswith(tokenizer.eos_token):
                text += tokenizer.eos_token
            ids: list[int] = tokenizer(text)["input_ids"]
            return ids
        messages = [*prompt, {"role": "assistant", "content": response}]
        ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
        return ids

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the form beside a model's weights."""
        (Path(directory) / PREFERENCE_FORM_FILE).write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> "PreferenceForm | None":
        """Read the form from beside a model's weights; `None` where there is none, as beside a Hub model's."""
        file = Path(directory) / PREFERENCE_FORM_FILE
        return cls(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None

r"""
A preference model as a reward, for what rules cannot check.

Paper, v1 2.3.4 and v2 3.1: helpfulness is judged on the final summary only, harmlessness on the whole response. The
model is any `AutoModelForSequenceClassification` with one output, such as the `reward` stage trains. What it reads is
formed exactly as in its training: see [`~rewards.preference_text.PreferenceForm`], which the stage writes beside the
weights. How the paper scales the scores before it adds them is not stated; `sigmoid` is our own choice: it is the
probability of being preferred over a response that scores 0, and lies in (0, 1) as the rule rewards lie in [0, 1].
"""

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ..errors import ConfigError
from ..text import completion_text, question_of, thoughts_opened
from .preference_text import PreferenceForm


NORMALISATIONS: dict[str, Callable[[float], float]] = {
    "raw": lambda score: score,
    "sigmoid": lambda score: 1 / (1 + math.exp(-score)) if score >= 0 else math.exp(score) / (1 + math.exp(score)),
    "tanh": math.tanh,
}
_SPARING = "FSDP_CPU_RAM_EFFICIENT_LOADING"
_PARTS: dict[str, Literal["all", "summary"]] = {"summary": "summary", "response": "all"}

# Loaded models of this process: (model, revision, process id) -> (model, tokenizer). Kept out of the reward, so that a
# pickled reward holds no weights, and each rank and each child process loads its own copy.
_LOADED: dict[tuple[str, str | None, int], tuple[Any, Any]] = {}
_LOADING = threading.Lock()


@dataclass(frozen=True)
class PreferenceModel:
    """
    The score that a preference model gives to a response.

    The model is loaded when the reward is first called, by each process for itself, and stays whole under ZeRO-3 and FSDP. It
    reads the column `question` where there is one (the question as a user writes it), else the prompt.

    Args:
        model (`str`):
            A model's folder or Hub id; a sequence classifier with one output.
        part (`str`, *optional*):
            `"summary"`: only what follows the thought is judged (helpfulness). `"response"`: all of it
            (harmlessness). Defaults to what the model was trained on, `"response"` where that is not known.
        normalise (`str`, *optional*, defaults to `"sigmoid"`):
            What becomes of the score: `"sigmoid"`, `"tanh"`, or `"raw"` as it is.
        prompt_template (`str`, *optional*):
            The template in which the model reads the question; see [`~text.render_prompt`]. Defaults to what the
            model was trained on, `"chat"` where that is not known.
        max_length (`int`, *optional*):
            Longer texts are cut at the end, in tokens. Defaults to what the model was trained on.
        batch_size (`int`, *optional*, defaults to `16`):
            Texts scored together. They are sorted by length first, so that little is padded.
        prefilled (`bool`, *optional*):
            Whether the prompt already opened the thought. `None`: see [`~text.thoughts_opened`].
        revision (`str`, *optional*):
            Revision of a Hub model.

    Raises:
        [`~errors.ConfigError`]: if an argument is none of those named, or (when it is first called) differs from what
            the model was trained on.
    """

    model: str
    part: str | None = None
    normalise: str = "sigmoid"
    prompt_template: str | None = None
    max_length: int | None = None
    batch_size: int = 16
    prefilled: bool | None = None
    revision: str | None = None

    __name__: ClassVar[str] = "preference_model"
    requires: ClassVar[tuple[str, ...]] = ()
    recipe_models: ClassVar[tuple[str, ...]] = ("model",)

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise ConfigError(f"expected a model's folder or Hub id, got {self.model!r}", key="model")
        if self.part is not None and self.part not in _PARTS:
            raise ConfigError(f"expected `summary` or `response`, got {self.part!r}", key="part")
        if self.normalise not in NORMALISATIONS:
            raise ConfigError(f"expected one of {', '.join(NORMALISATIONS)}, got {self.normalise!r}", key="normalise")
        if not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise ConfigError(f"expected a number of texts, at least 1, got {self.batch_size!r}", key="batch_size")

    def __call__(
        self,
        *,
        completions: list[Any],
        prompts: list[Any] | None = None,
        completion_ids: list[Any] | None = None,
        trainer_state: Any = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        if not completions:
            return []
        prefilled = columns.get("prefilled") if self.prefilled is None else self.prefilled
        scores = self.scores(completions, prompts, columns.get("question"), prefilled)
        finite = [score for score in scores if math.isfinite(score)]
        if log_extra is not None:
            log_extra("preference_score", scores)
        if log_metric is not None and finite:
            log_metric("preference_score", sum(finite) / len(finite))
        change = NORMALISATIONS[self.normalise]
        return [change(score) if math.isfinite(score) else None for score in scores]

    def scores(
        self,
        completions: list[Any],
        prompts: list[Any] | None = None,
        questions: list[Any] | None = None,
        prefilled: bool | list[bool] | None = None,
    ) -> list[float]:
        """
        Return the raw scores of the model.

        Args:
            completions (`list[str]` or `list[list[dict[str, Any]]]`):
                Texts or conversations.
            prompts (`list`, *optional*):
                Rendered prompts.
            questions (`list[str]`, *optional*):
                The questions without template. Taken from the prompts where they are not given.
            prefilled (`bool` or `list[bool]`, *optional*):
                Whether the prompts opened the thought.

        Raises:
            [`~errors.ConfigError`]: if there are neither prompts nor questions, or the model has several outputs.
        """
        if questions is None:
            if prompts is None:
                raise ConfigError(
                    "the reward `preference_model` needs prompts or the column `question`", key="question"
                )
            questions = [question_of(prompt) for prompt in prompts]
        texts = [completion_text(completion) for completion in completions]
        opened = thoughts_opened(prompts, texts, prefilled)
        texts = [f"<think>{text}" if yes and "<think>" not in text else text for text, yes in zip(texts, opened)]
        model, tokenizer = self._loaded()
        form = self.form()
        rows = [form.token_ids(tokenizer, q, text) for q, text in zip(questions, texts, strict=True)]
        return _scored(model, tokenizer, [ids[: form.max_length] for ids in rows], self.batch_size)

    def form(self) -> PreferenceForm:
        """
        Return how question and response become what the model reads.

        Raises:
            [`~errors.ConfigError`]: if an argument of the reward differs from what the model was trained on.
        """
        trained = PreferenceForm.load(self.model) if os.path.isdir(self.model) else None
        if trained is None:
            part = _PARTS[self.part or "response"]
            return PreferenceForm(self.prompt_template or "chat", part, self.max_length)
        for key, given, known in (
            ("part", self.part and _PARTS[self.part], trained.part),
            ("prompt_template", self.prompt_template, trained.prompt_template),
        ):
            if given is not None and given != known:
                raise ConfigError(f"expected {known!r}, on which `{self.model}` was trained, got {given!r}", key=key)
        return PreferenceForm(trained.prompt_template, trained.part, self.max_length or trained.max_length)

    def _loaded(self) -> tuple[Any, Any]:
        key = (self.model, self.revision, os.getpid())
        with _LOADING:
            if key not in _LOADED:
                _LOADED[key] = _load(self.model, self.revision)
            return _LOADED[key]


def _load(name: str, revision: str | None) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    device = _device()
    # Loading must not move the random state: a resumed run loads at another step than the one it continues.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), _whole_on_every_rank():
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
            name, revision=revision, dtype="auto", output_loading_info=True
        )
    if model.config.num_labels != 1:
        raise ConfigError(
            f"expected a sequence classifier with one output, `{name}` has {model.config.num_labels}", key="model"
        )
    if loaded["missing_keys"]:
        # A language model without a head for scores would be given a random one, and its scores would look like any.
        missing = ", ".join(sorted(loaded["missing_keys"]))
        raise ConfigError(f"expected a trained preference model, `{name}` has no weights for {missing}", key="model")
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return model.to(device).eval().requires_grad_(False), tokenizer


def _device() -> Any:
    import torch

    if not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true"):
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


@contextlib.contextmanager
def _whole_on_every_rank() -> Iterator[None]:
    """
    Keep `from_pretrained` from cutting the model up among the ranks, as it does while ZeRO-3 is on, and from leaving it
    empty on all ranks but one, as it does while FSDP loads sparingly: nothing would ever fill it.

    transformers knows of ZeRO-3 by a weak reference to the trainer's DeepSpeed config. It has functions to set and to
    unset that reference, and none to read it.
    """
    from transformers.integrations import deepspeed

    reference = deepspeed._hf_deepspeed_config_weak_ref
    config = reference() if reference is not None else None
    sparing = os.environ.pop(_SPARING, None)
    if config is not None:
        deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if config is not None:
            deepspeed.set_hf_deepspeed_config(config)
        if sparing is not None:
            os.environ[_SPARING] = sparing


def _scored(model: Any, tokenizer: Any, rows: list[list[int]], batch_size: int) -> list[float]:
    """Score token ids in batches of like length; `rows` are of any length, in the order of the result."""
    import torch

    order = sorted(range(len(rows)), key=lambda i: len(rows[i]), reverse=True)
    scores = [0.0] * len(rows)
    with torch.inference_mode(), torch.autocast(model.device.type, enabled=False):
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = tokenizer.pad(
                {"input_ids": [rows[i] for i in chosen]}, padding=True, padding_side="right", return_tensors="pt"
            ).to(model.device)
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits  # (B, 1)
            for i, score in zip(chosen, logits[:, 0].float().tolist(), strict=True):
                scores[i] = score
    return scores

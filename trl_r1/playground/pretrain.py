"""
The base model: a small Qwen3, pre-trained on the playground's corpus until it has the skills.

A gate on skills, not on the loss or on a number of steps, decides when the clean part of the corpus has done its work:
seeds differ by a factor of two in when a skill appears, the loss hardly shows it, and a base with loose skills stays
behind after any amount of RL. Then follow a fixed number of steps on the noisy corpus, with the learning rate going to
zero.

Muon (as torch has it) trains the matrices, AdamW the rest: with AdamW alone the skills come late or never.
"""

import math
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from ..errors import StageError
from ..io import numbered_checkpoints, read_json, whole_folder, write_json
from .config import PlaygroundConfig
from .corpus import TEMPLATE, Corpus, draw_tongue, work
from .general import ITEMS, NAMES, every_request
from .tasks import DOMAINS, LABELS, MOST_ADDEND, MOST_AUGEND, NO_ANSWER, draw_problem
from .tokenizer import LARGEST_NUMBER
from .words import LANGUAGES, WORDS


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM


Documents = Sequence[tuple[str, ...]]
Rows = list[tuple[torch.Tensor, torch.Tensor]]

# Every fact known, nearly: what is missing here is a wrong step for ever. The rest may still waver, since the learning
# rate has yet to fall; requests are learned last, and go on being learned in the noisy part.
GATE = {"facts": 0.90, "sums": 0.80, "search": 0.50, "choice": 0.80, "general": 0.50}

_STEPS_BETWEEN_GATES = 50
_PARTS = 4  # of a batch, one after the other
_MUON_RATE, _ADAMW_RATE = 0.02, 5e-3
_GRADIENT_NORM = 1.0
_IGNORED = -100


def make_model(config: PlaygroundConfig, tokenizer: "PreTrainedTokenizerFast") -> "Qwen3ForCausalLM":
    """Make the model, untrained; its weights follow from the seed."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(config.seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            num_key_value_heads=config.num_attention_heads,
            head_dim=config.head_dim,
            intermediate_size=config.intermediate_size,
            max_position_embeddings=2048,  # enough for texts that are tokenized character by character
            tie_word_embeddings=True,
            # wider than usual: at this size the default leaves the first hundred steps without effect
            initializer_range=0.05,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
    )


def pretrain(
    config: PlaygroundConfig,
    tokenizer: "PreTrainedTokenizerFast",
    on_step: Callable[[int, int, dict[str, float]], None] | None = None,
) -> "tuple[Qwen3ForCausalLM, list[dict[str, Any]]]":
    """
    Pre-train the base model. Goes on at its last checkpoint in `output_dir` where there is one, and ends the same.

    Args:
        config ([`PlaygroundConfig`]):
            Seed, sizes, numbers of steps.
        tokenizer ([`~transformers.PreTrainedTokenizerFast`]):
            The playground's.
        on_step (`Callable`, *optional*):
            Called with the number of steps done, an estimate of their number in all, and what is worth showing.

    Returns:
        `tuple[Qwen3ForCausalLM, list[dict[str, Any]]]`: the model, and its history: loss and skills by step.

    Raises:
        [`~errors.StageError`]: if the skills are not there after `max_clean_steps`.
    """
    training = Pretraining(config, tokenizer)
    training.load()
    while not training.done:
        training.step()
        if training.steps % config.save_steps == 0:
            training.save()
        if on_step is not None:
            last = training.history[-1] if training.history else {}
            on_step(training.steps, training.expected_steps, {"loss": training.losses[-1], **last.get("skills", {})})
    return training.model.eval(), training.history


class Pretraining:
    """
    The pre-training, one step at a time.

    Args:
        config ([`PlaygroundConfig`]):
            Seed, sizes, numbers of steps.
        tokenizer ([`~transformers.PreTrainedTokenizerFast`]):
            The playground's.
    """

    def __init__(self, config: PlaygroundConfig, tokenizer: "PreTrainedTokenizerFast"):
        self.config, self.tokenizer = config, tokenizer
        self.model = make_model(config, tokenizer).train()
        self.corpus = Corpus(config.seed)
        matrices = {id(p): p for name, p in self.model.named_parameters() if p.ndim == 2 and "embed" not in name}
        others = [p for p in self.model.parameters() if id(p) not in matrices]
        self.optimizers = (
            torch.optim.Muon(list(matrices.values()), lr=_MUON_RATE, weight_decay=0.0),
            torch.optim.AdamW(others, lr=_ADAMW_RATE, betas=(0.9, 0.98), weight_decay=0.0),
        )
        self.steps = 0
        self.skilled_at: int | None = None
        self.losses: list[float] = []
        self.history: list[dict[str, Any]] = []

    @property
    def done(self) -> bool:
        """Whether the noisy part is over."""
        return self.skilled_at is not None and self.steps >= self.skilled_at + self.config.noisy_steps

    @property
    def expected_steps(self) -> int:
        """An estimate of the number of steps in all."""
        clean = self.skilled_at or max(500, self.steps + _STEPS_BETWEEN_GATES)
        return clean + self.config.noisy_steps

    def step(self) -> None:
        """Read a batch, update, and now and then look at the skills."""
        noisy = self.skilled_at is not None
        if self.skilled_at is not None:
            left = 1 - (self.steps - self.skilled_at) / self.config.noisy_steps
            for optimizer in self.optimizers:
                # full rate for the first third, so that the noise is learned, then down to nothing
                optimizer.param_groups[0]["lr"] = optimizer.defaults["lr"] * min(1.0, 1.5 * left)
        documents = [self.corpus.document(clean=not noisy) for _ in range(self.config.documents_per_step)]
        self.losses.append(self._update(documents))
        self.steps += 1
        if self.steps % _STEPS_BETWEEN_GATES == 0:
            skills = measure_skills(self.model, self.tokenizer)
            loss = sum(self.losses[-_STEPS_BETWEEN_GATES:]) / _STEPS_BETWEEN_GATES
            self.history.append({"step": self.steps, "loss": loss, "skills": skills})
            if not noisy and all(skills[name] >= least for name, least in GATE.items()):
                self.skilled_at = self.steps
            elif not noisy and self.steps >= self.config.max_clean_steps:
                raise StageError(
                    f"the base model has not learned in {self.steps} steps what it needs: expected skills of at least "
                    f"{GATE}, got {skills}; try another seed"
                )

    def _update(self, documents: Documents) -> float:
        # Documents of like length together: half the padding, the same gradient.
        rows = sorted(encode(self.tokenizer, documents), key=lambda row: len(row[0]))
        size = math.ceil(len(rows) / _PARTS)
        count = sum(int((labels[1:] != _IGNORED).sum()) for _, labels in rows)
        total = 0.0
        for start in range(0, len(rows), size):
            ids, labels = padded(self.tokenizer, rows[start : start + size])
            logits = self.model(input_ids=ids).logits[:, :-1]  # (B, T - 1, V)
            loss = functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum") / count
            loss.backward()  # type: ignore[no-untyped-call]  # torch annotates neither this nor Muon
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _GRADIENT_NORM)
        for optimizer in self.optimizers:
            optimizer.step()  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
        return total

    def save(self) -> None:
        """Write a checkpoint, whole or not at all, and remove older ones."""
        checkpoint = Path(self.config.output_dir) / f"checkpoint-{self.steps}"
        state = {
            "steps": self.steps,
            "skilled_at": self.skilled_at,
            "history": self.history,
            "corpus": self.corpus.rng.getstate(),
            "config": self._identity(),
        }
        with whole_folder(checkpoint) as partial:
            torch.save(
                {
                    "model": self.model.state_dict(),
                    "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                    "losses": self.losses[-_STEPS_BETWEEN_GATES:],
                },
                partial / "training.pt",
            )
            write_json(partial / "state.json", state)
        for other in checkpoint.parent.glob("checkpoint-*"):
            if other != checkpoint:
                shutil.rmtree(other, ignore_errors=True)

    def load(self) -> None:
        """Go on where the newest checkpoint was made, if it is one of this config."""
        for checkpoint in numbered_checkpoints(self.config.output_dir):
            state = read_json(checkpoint / "state.json")
            if state.get("config") != self._identity():
                continue
            weights = torch.load(checkpoint / "training.pt", weights_only=True)
            self.model.load_state_dict(weights["model"])
            for optimizer, saved in zip(self.optimizers, weights["optimizers"]):
                optimizer.load_state_dict(saved)
            self.losses = weights["losses"]
            self.steps, self.skilled_at, self.history = state["steps"], state["skilled_at"], state["history"]
            version, internal, gauss = state["corpus"]
            self.corpus.rng.setstate((version, tuple(internal), gauss))
            return

    def _identity(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self.config).items() if name not in ("output_dir", "save_steps")}


def encode(tokenizer: "PreTrainedTokenizerFast", documents: Documents) -> Rows:
    """
    Encode documents.

    Returns:
        `list[tuple[torch.Tensor, torch.Tensor]]`: token ids and labels of each, both `(T,)`; what is given has no label.
    """
    pieces = iter(tokenizer([piece for document in documents for piece in document])["input_ids"])
    rows = []
    for document in documents:
        ids: list[int] = []
        labels: list[int] = []
        for i in range(len(document)):
            encoded = next(pieces)
            ids += encoded
            labels += encoded if i % 2 else [_IGNORED] * len(encoded)
        end = tokenizer.eos_token_id
        rows.append((torch.tensor([*ids, end]), torch.tensor([*labels, end])))
    return rows


def padded(tokenizer: "PreTrainedTokenizerFast", rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the token ids and the labels of encoded documents, both `(B, T)`, padded on the right."""
    return (
        pad_sequence([ids for ids, _ in rows], batch_first=True, padding_value=tokenizer.pad_token_id),
        pad_sequence([labels for _, labels in rows], batch_first=True, padding_value=_IGNORED),
    )


@torch.no_grad()
def measure_skills(model: "Qwen3ForCausalLM", tokenizer: "PreTrainedTokenizerFast") -> dict[str, float]:
    """
    Measure what the model can do, given the words that lead up to it.

    Returns:
        `dict[str, float]`: `facts`: share of all additions known. `sums`, `search`, `choice`: share of worked problems
        in which every number, letter and verdict is the most probable one. `general`: share of requests in whose
        answer every name and item is.
    """
    rng = random.Random("skills")  # the same problems each time
    facts = [("", f"{a}+{b}={a + b}. ") for a in range(1, MOST_AUGEND + 1) for b in range(1, MOST_ADDEND + 1)]
    ids, _ = padded(tokenizer, encode(tokenizer, facts))
    skills = {"facts": (model(input_ids=ids).logits[:, 3].argmax(-1) == ids[:, 4]).float().mean().item()}
    # right and wrong, each with its word in every language
    verdicts = [[words.right for words in WORDS.values()], [words.wrong for words in WORDS.values()]]
    determined = [*map(str, range(LARGEST_NUMBER + 1)), *LABELS, NO_ANSWER, *verdicts[0], *verdicts[1]]
    for domain in DOMAINS:
        documents = []
        for _ in range(60):
            problem, language = draw_problem(domain, rng, held_out=False), rng.choice(LANGUAGES)
            thought, _ = work(problem, draw_tongue(language, rng, same=1.0, other=0.0), rng)
            documents.append((TEMPLATE.format(prompt=problem.prompt(language)), f"<think>{thought}</think>"))
        skills[domain] = _share_right(model, tokenizer, documents, determined, same=verdicts)
    requests = rng.sample(list(every_request(held_out=False)), 80)
    documents = [(TEMPLATE.format(prompt=request.prompt), request.curt) for request in requests]
    determined = [word for language in LANGUAGES for word in (*NAMES[language], *ITEMS[language])]
    skills["general"] = _share_right(model, tokenizer, documents, determined)
    return skills


def _share_right(
    model: "Qwen3ForCausalLM",
    tokenizer: "PreTrainedTokenizerFast",
    documents: Documents,
    determined: list[str],
    same: Sequence[list[str]] = (),
) -> float:
    """Share of the documents in which each `determined` token is the most probable; those of a list in `same` are one."""
    merged = torch.arange(len(tokenizer))
    for tokens in same:
        alike = torch.tensor(tokenizer.convert_tokens_to_ids(tokens))
        merged[alike] = alike[0]
    counts = torch.zeros(len(tokenizer), dtype=torch.bool)
    counts[tokenizer.convert_tokens_to_ids(determined)] = True
    ids, labels = padded(tokenizer, encode(tokenizer, documents))
    predicted = merged[model(input_ids=ids).logits[:, :-1].argmax(-1)]  # (B, T - 1)
    labels = labels[:, 1:]
    asked = (labels != _IGNORED) & counts[labels.clamp(min=0)]
    return ((predicted == merged[labels.clamp(min=0)]) | ~asked).all(1).float().mean().item()

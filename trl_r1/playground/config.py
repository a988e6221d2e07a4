"""What a playground is made of. Torch-free."""

from dataclasses import dataclass

from ..docstrings import help_from_docstring
from ..errors import ConfigError


@help_from_docstring
@dataclass
class PlaygroundConfig:
    """
    A playground: tokenizer, base model, prompt sets.

    Args:
        output_dir (`str`):
            Where `model/` and `data/` go.
        seed (`int`, *optional*, defaults to `1`):
            Seed of the weights, of the corpus and of the prompts. Which problems are held out does not depend on it.
        hidden_size (`int`, *optional*, defaults to `64`):
            Width of the model.
        num_hidden_layers (`int`, *optional*, defaults to `3`):
            Layers; two do not learn to look up.
        num_attention_heads (`int`, *optional*, defaults to `4`):
            Attention heads.
        head_dim (`int`, *optional*, defaults to `32`):
            Width of a head; with 16 a model does not learn to look up one of twelve.
        intermediate_size (`int`, *optional*, defaults to `128`):
            Width of the feed-forward layers.
        documents_per_step (`int`, *optional*, defaults to `48`):
            Batch of the pre-training.
        max_clean_steps (`int`, *optional*, defaults to `2000`):
            Steps after which a model that still lacks the skills is given up.
        noisy_steps (`int`, *optional*, defaults to `520`):
            Steps on the noisy corpus, once the model has the skills.
        save_steps (`int`, *optional*, defaults to `200`):
            Steps between two checkpoints.
        train_prompts (`int`, *optional*, defaults to `1600`):
            Rows of `data/train.parquet`.
        heldout_prompts (`int`, *optional*, defaults to `320`):
            Rows of `data/heldout.parquet`.
        general_prompts (`int`, *optional*, defaults to `600`):
            Rows of `data/general-train.parquet`.
        general_heldout_prompts (`int`, *optional*, defaults to `120`):
            Rows of `data/general-heldout.parquet`.
        general_answers (`int`, *optional*, defaults to `400`):
            Rows of `data/general-answers.parquet`: answers for supervised fine-tuning.
        preference_pairs (`int`, *optional*, defaults to `6000`):
            Rows of `data/preference-pairs.parquet`.
    """

    output_dir: str
    seed: int = 1
    hidden_size: int = 64
    num_hidden_layers: int = 3
    num_attention_heads: int = 4
    head_dim: int = 32
    intermediate_size: int = 128
    documents_per_step: int = 48
    max_clean_steps: int = 2000
    noisy_steps: int = 520
    save_steps: int = 200
    train_prompts: int = 1600
    heldout_prompts: int = 320
    general_prompts: int = 600
    general_heldout_prompts: int = 120
    general_answers: int = 400
    preference_pairs: int = 6000

    def __post_init__(self) -> None:
        if self.head_dim % 2:
            raise ConfigError(f"expected an even number, got {self.head_dim}", key="head_dim")
        for name, value in vars(self).items():
            if isinstance(value, int) and name != "seed" and value < 1:
                raise ConfigError(f"expected at least 1, got {value}", key=name)

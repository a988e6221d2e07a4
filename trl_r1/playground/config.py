"""What a playground is made of. Torch-free."""

from dataclasses import dataclass, field

from ..errors import ConfigError


@dataclass
class PlaygroundConfig:
    """
    A playground: tokenizer, base model, prompt sets.

    Args:
        output_dir (`str`):
            Where `model/` and `data/` go.
        seed (`int`, *optional*, defaults to `1`):
            Seed of the weights, of the corpus and of the prompts. Which problems are held out does not depend on it.
        hidden_size (`int`, *optional*, defaults to `64`), num_hidden_layers (`int`, *optional*, defaults to `3`),
        num_attention_heads (`int`, *optional*, defaults to `4`), intermediate_size (`int`, *optional*, defaults to `128`):
            Size of the model. Two layers do not learn to look up.
        documents_per_step (`int`, *optional*, defaults to `32`):
            Batch of the pre-training.
        max_clean_steps (`int`, *optional*, defaults to `2000`):
            Steps after which a model that still lacks the skills is given up.
        noisy_steps (`int`, *optional*, defaults to `400`):
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

    output_dir: str = field(metadata={"help": "Where model/ and data/ go."})
    seed: int = field(default=1, metadata={"help": "Seed of weights, corpus and prompts."})
    hidden_size: int = field(default=64, metadata={"help": "Width of the model."})
    num_hidden_layers: int = field(default=3, metadata={"help": "Layers; two do not learn to look up."})
    num_attention_heads: int = field(default=4, metadata={"help": "Attention heads."})
    intermediate_size: int = field(default=128, metadata={"help": "Width of the feed-forward layers."})
    documents_per_step: int = field(default=32, metadata={"help": "Documents in a batch of the pre-training."})
    max_clean_steps: int = field(default=2000, metadata={"help": "Steps within which the skills must be learned."})
    noisy_steps: int = field(default=400, metadata={"help": "Steps on the noisy corpus after that."})
    save_steps: int = field(default=200, metadata={"help": "Steps between two checkpoints."})
    train_prompts: int = field(default=1600, metadata={"help": "Rows of data/train.parquet."})
    heldout_prompts: int = field(default=320, metadata={"help": "Rows of data/heldout.parquet."})
    general_prompts: int = field(default=600, metadata={"help": "Rows of data/general-train.parquet."})
    general_heldout_prompts: int = field(default=120, metadata={"help": "Rows of data/general-heldout.parquet."})
    general_answers: int = field(default=400, metadata={"help": "Rows of data/general-answers.parquet."})
    preference_pairs: int = field(default=6000, metadata={"help": "Rows of data/preference-pairs.parquet."})

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"expected a divisor of hidden_size = {self.hidden_size}, got {self.num_attention_heads}",
                key="num_attention_heads",
            )
        for name, value in vars(self).items():
            if isinstance(value, int) and name != "seed" and value < 1:
                raise ConfigError(f"expected at least 1, got {value}", key=name)

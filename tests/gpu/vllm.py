"""`R1GRPOTrainer` that samples from a colocated vLLM, with every switch on: are vLLM's probabilities the policy's?"""

import importlib.util
from typing import Any

from .results import Part


LOGP_DIFFERENCE_AT_MOST = 0.05  # mean over tokens, in nats; two programs in bfloat16
LOGGED = ("reward", "grad_norm", "step_time", "num_tokens", "padding", "skipped_rows")
SAMPLING = ("sampling/sampling_logp_difference/mean", "sampling/importance_sampling_ratio/mean")


def run(part: Part) -> None:
    """Train, where vLLM is installed."""
    if importlib.util.find_spec("vllm") is None:
        part.leave_out("everything", "vLLM is not installed")
    elif part.device != "cuda":
        part.leave_out("everything", "vLLM's engine for CPUs packs its weights once, and takes no new ones")
    else:
        train(part)


def train(part: Part) -> None:
    """Train a few steps, of a model of `zero`'s size with random weights."""
    from datasets import Dataset

    from trl_r1 import R1GRPOConfig, R1GRPOTrainer
    from trl_r1.playground.config import PlaygroundConfig
    from trl_r1.playground.pretrain import make_model
    from trl_r1.playground.rows import problem_rows
    from trl_r1.playground.tokenizer import make_tokenizer

    from .zero import FULL

    tokenizer = make_tokenizer()
    sizes = {name: FULL[name] for name in FULL if name not in ("documents_per_step", "noisy_steps")}
    make_model(PlaygroundConfig(output_dir="", **sizes), tokenizer).save_pretrained(part.work / "model")
    tokenizer.save_pretrained(part.work / "model")
    args = R1GRPOConfig(
        output_dir=str(part.work / "run"),
        use_vllm=True,
        vllm_mode="colocate",
        vllm_gpu_memory_utilization=0.3,
        vllm_max_model_length=512,
        bf16=True,
        model_init_kwargs={"dtype": "bfloat16"},
        beta=0.0,
        trim_padding=True,
        group_by_length=True,
        skip_zero_advantage=True,
        max_tokens_per_micro_batch=1024,
        per_device_train_batch_size=16,
        num_generations=8,
        max_completion_length=256,
        max_steps=3,
        learning_rate=1e-5,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        languages=["en", "zh"],
    )
    prompts = Dataset.from_list(problem_rows(64, "vllm", held_out=False))
    trainer = R1GRPOTrainer(str(part.work / "model"), distinct, args, prompts)
    trainer.train()
    for entry in trainer.state.log_history:
        if "loss" in entry:
            part.row({"step": entry["step"], **{name: entry.get(name) for name in (*LOGGED, *SAMPLING)}})
            part.check(
                f"step {entry['step']}: difference of log-probabilities",
                entry[SAMPLING[0]],
                at_most=LOGP_DIFFERENCE_AT_MOST,
            )


def distinct(completions: list[str], **columns: Any) -> list[float]:
    """A reward that varies within a group whatever is sampled."""
    return [len(set(completion)) / 100 for completion in completions]

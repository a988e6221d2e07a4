r"""
Real problems through the stages that the playground runs: five GRPO steps and a pass of rejection sampling over rows of
GSM8K, MATH and CMATH, with a model of the playground's size.

    python -m tests.benchmarks.real_problems --data DIR [--rows 200]

The model is random and reads bytes, so nothing it says is right; shown is that real questions, in two languages, with
LaTeX and several hundred tokens, and the forms in which their answers are written, go through reading, rendering,
sampling, rewards, selection and training. Prints how many rows each set gave, the rewards of the steps, and what the
selection counted. Ends with exit code 1 if a stage fails or counts fewer samples than it was given.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml


SETS = {
    "gsm8k": {"path": "gsm8k_train.jsonl", "prompt_column": "question", "solution_column": "answer", "language": "en"},
    "math": {"path": "math_train.json", "prompt_column": "problem", "solution_column": "answer", "language": "en"},
    "cmath": {"path": "cmath_test.jsonl", "prompt_column": "question", "solution_column": "answer", "language": "zh"},
}
N_SAMPLES = 2


def make_model(path: Path) -> None:
    """Save a random Qwen3 of about 100 thousand parameters whose tokens are bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<eos>", "<think>", "</think>", *letters])}
    bytewise = Tokenizer(models.BPE(vocabulary, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytewise, pad_token="<pad>", eos_token="<eos>")
    tokenizer.add_tokens(["<think>", "</think>"])
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=16,
        max_position_embeddings=8192,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    Qwen3ForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)


def run_stage(kind: str, config: dict, folder: Path) -> Path:
    """Run a stage as a user would, and return its folder."""
    output_dir = folder / kind
    file = folder / f"{kind}.yaml"
    file.write_text(yaml.safe_dump({**config, "output_dir": str(output_dir)}), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", f"trl_r1.stages.{kind}", "--config", str(file)], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{kind} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return output_dir


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--rows", type=int, default=200, help="rows of each set (default: 200)")
    args = parser.parse_args()
    data = [
        {
            **source,
            "path": str((args.data / source["path"]).resolve()),
            "name": name,
            "domain": name,
            "limit": args.rows,
        }
        for name, source in SETS.items()
    ]
    shared = {"prompt_template": "r1_zero", "data": data, "seed": 1}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_model(folder / "model")
        shared["model_name_or_path"] = str(folder / "model")
        rewards = [{"func": "trl_r1.rewards.MathAccuracy"}, {"func": "trl_r1.rewards.LanguageConsistency"}]
        training = {
            "max_steps": 5,
            "num_generations": 4,
            "per_device_train_batch_size": 24,
            "max_completion_length": 48,
            "rewards": [*rewards, {"func": "trl_r1.rewards.ThinkFormat", "args": {"style": "r1_zero"}}],
            "beta": 0.001,
            "logging_steps": 1,
            "save_strategy": "no",
            "save_rollouts": True,
            "use_cpu": True,
            "bf16": False,
            "report_to": "none",
        }
        trained = run_stage("grpo", {**shared, **training}, folder)
        history = json.loads((trained / "trainer_state.json").read_text())["log_history"]
        for step in history:
            if "reward" in step:
                print(f"grpo step {step['step']}: reward {step['reward']:.4f}, truncated {step['truncated']:.2f}")
        # Nothing a random model says is right or well-formed: all of it is kept, so that all of it is seen.
        rules = {
            "right_by": [],
            "finished": False,
            "well_formed": False,
            "min_language_share": None,
            "max_repetition": None,
        }
        sampling = {"n_samples": N_SAMPLES, "max_completion_tokens": 24, "batch_size": 32, "shard_prompts": 64}
        built = run_stage("rejection", {**shared, **sampling, "rewards": rewards[:1], "rules": rules}, folder)
        selection = json.loads((built / "selection.json").read_text())
        print(json.dumps(selection, ensure_ascii=False))
    asked = N_SAMPLES * args.rows * len(SETS)
    print(f"{selection['seen']} of {asked} samples seen, 5 GRPO steps done")
    return 0 if selection["seen"] == asked else 1


if __name__ == "__main__":
    sys.exit(main())

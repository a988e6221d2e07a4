"""
What `trl-r1 plan` predicts of a training's memory, against what it takes: real trainers, random weights, one after the other.

    python -m tests.benchmarks.memory [--only NAME ...]

Each set-up trains two steps in processes of its own, with the stage's own config, trainers and accelerate file. Measured is
the growth of the memory that is resident in a process from after all imports to its peak (`VmHWM`, which is set back
then), averaged over the ranks. glibc's allocator gives back what is freed (`MALLOC_MMAP_THRESHOLD_`), as it would keep some of it
otherwise; what the kernel lets processes share counts in each. GRPO's completions are written down beforehand, all at
the longest length, so that no time goes into sampling; a key-value cache is in none of the figures.

The last line is the worst ratio of the larger to the smaller of the two.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


ROOT = Path(__file__).parents[2]
ACCELERATE = ROOT / "recipes" / "accelerate"
GIB = 1 << 30
PROMPT = 32


@dataclass(frozen=True)
class Setup:
    """A training whose memory is measured: a model's size, an accelerate file, and keys of the stage's config."""

    name: str
    kind: str
    model: dict[str, int]
    accelerate: str | None = None
    config: dict[str, Any] = field(default_factory=dict)


def size(hidden: int, layers: int, vocabulary: int = 8192) -> dict[str, int]:
    return {"hidden_size": hidden, "num_hidden_layers": layers, "vocab_size": vocabulary}


ONE_ROW = {"per_device_train_batch_size": 1}
CHECKPOINTING = {"gradient_checkpointing": True}
LORA = {"use_peft": True, "lora_r": 16, "lora_target_modules": ["all-linear"]}
# Of every row the prompt and the completion are as long as they may be.
SETUPS = (
    Setup("sft", "sft", size(768, 16), None, {"max_length": 512}),
    Setup("sft, accumulation", "sft", size(1024, 14), None, {"max_length": 256, "gradient_accumulation_steps": 2}),
    Setup("sft, checkpointing", "sft", size(1536, 14), None, {"max_length": 512, **ONE_ROW, **CHECKPOINTING}),
    Setup("sft, long row", "sft", size(512, 8), None, {"max_length": 4096, **ONE_ROW}),
    Setup("sft, LoRA", "sft", size(1280, 12), None, {"max_length": 320, **LORA}),
    Setup("sft, 9 GiB", "sft", size(1792, 16), None, {"max_length": 64, **ONE_ROW}),
    Setup("grpo, no reference", "grpo", size(1024, 12), None, {"max_completion_length": 96, "beta": 0.0}),
    Setup("grpo, reference", "grpo", size(1024, 12), None, {"max_completion_length": 96, "beta": 0.001}),
    Setup("grpo, LoRA", "grpo", size(1280, 12), None, {"max_completion_length": 288, "beta": 0.001, **LORA}),
    Setup("sft, DDP x 2", "sft", size(768, 14), "cpu_ddp", {"max_length": 128}),
    Setup("grpo, DDP x 2", "grpo", size(768, 14), "cpu_ddp", {"max_completion_length": 96, "beta": 0.001}),
    Setup("sft, ZeRO-2 x 2", "sft", size(1024, 12), "cpu_zero2", {"max_length": 128}),
    Setup("grpo, ZeRO-2 x 2", "grpo", size(1024, 12), "cpu_zero2", {"max_completion_length": 96, "beta": 0.001}),
    Setup("sft, ZeRO-3 x 2", "sft", size(1280, 12), "cpu_zero3", {"max_length": 128, **CHECKPOINTING}),
    Setup("sft, ZeRO-3 x 2, no checkpointing", "sft", size(1024, 16), "cpu_zero3", {"max_length": 192}),
    Setup("grpo, ZeRO-3 x 2", "grpo", size(1280, 12), "cpu_zero3", {"max_completion_length": 96, "beta": 0.001}),
)


def config_of(setup: Setup, model: str, folder: str) -> dict[str, Any]:
    """The stage's config, as `config.yaml` would hold it."""
    own: dict[str, Any] = (
        {"max_length": 1024} if setup.kind == "sft" else {"rewards": [{"func": REWARD}], "num_generations": 2}
    )
    return {
        "model_name_or_path": model,
        "output_dir": folder,
        "data": [{"path": "rows", "name": "rows"}],
        "prompt_template": "plain",
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "max_steps": 2,
        "save_strategy": "no",
        "bf16": False,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        **own,
        **setup.config,
    }


REWARD = "tests.benchmarks.memory.alternate"


def alternate(completions: list[Any], **columns: Any) -> list[float]:
    """Rewards that vary within every group."""
    return [float(row % 2) for row in range(len(completions))]


def save_model(sizes: dict[str, int], folder: Path) -> str:
    """Random weights and a tokenizer of as many words as the vocabulary has."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    hidden, vocabulary = sizes["hidden_size"], sizes["vocab_size"]
    heads = {"num_attention_heads": hidden // 64, "num_key_value_heads": hidden // 256, "head_dim": 64}
    config = Qwen3Config(
        **sizes, **heads, intermediate_size=3 * hidden, pad_token_id=0, eos_token_id=1, bos_token_id=None
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    words = ["<pad>", "<eos>", "<unk>", *(f"w{i}" for i in range(3, vocabulary))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    ).save_pretrained(folder)
    return str(folder)


def resident(name: str) -> int:
    """A figure of this process in bytes: `VmRSS`, or `VmHWM`, the most since it was reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {name}")


def train(setup: Setup, config: dict[str, Any], report: Path) -> None:
    """Train two steps in this process, and write by how much its memory grew."""
    import deepspeed  # noqa: F401  # loaded by accelerate where it is used: before the first figure
    import peft  # noqa: F401
    import torch
    from datasets import Dataset

    from trl_r1.grpo.trainer import R1GRPOTrainer
    from trl_r1.kinds import kind_of
    from trl_r1.rewards.schedule import load_rewards
    from trl_r1.sft.trainer import R1SFTTrainer
    from trl_r1.stages._training import trainer_arguments
    from trl_r1.typed import make

    class Scripted(R1GRPOTrainer):
        def _generate_single_turn(self, prompt_ids: Any, *_: Any, **__: Any) -> Any:
            written = torch.randint(3, 100, (len(prompt_ids), setup.config["max_completion_length"])).tolist()
            return [[*ids[:-1], 1] for ids in written], None

    args, stage, model = make(kind_of(setup.kind).config_classes(), config)
    words = " ".join(f"w{3 + i % 500}" for i in range(8192))
    prompt = " ".join(words.split()[:PROMPT])
    # Touched once before the first figure: gloo, autograd's threads, the kernels of a matrix product.
    x = torch.ones(64, 64, requires_grad=True)
    (x @ x).sum().backward()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    if setup.kind == "sft":
        completion = " ".join(words.split()[: args.max_length - PROMPT - 1])
        rows = Dataset.from_dict({"prompt": [prompt + " "] * 16, "completion": [completion] * 16})
        trainer: Any = R1SFTTrainer(train_dataset=rows, **trainer_arguments(args, model))
    else:
        rewards, args.reward_weights = load_rewards(stage.rewards, where="rewards")
        rows = Dataset.from_dict({"prompt": [prompt] * 16})
        trainer = Scripted(reward_funcs=rewards, train_dataset=rows, **trainer_arguments(args, model))
    trainer.train()
    found = {"growth": resident("VmHWM") - before}
    Path(f"{report}.{args.process_index}").write_text(json.dumps(found))


def launch(setup: Setup, model: str, folder: Path) -> list[dict[str, Any]]:
    """What each rank measured."""
    config = config_of(setup, model, str(folder / "out"))
    asked = folder / "setup.json"
    asked.write_text(json.dumps({"name": setup.name, "config": config}))
    command = [sys.executable, "-m"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # DeepSpeed compiles an operator at its first use.
        "TORCH_EXTENSIONS_DIR": os.environ.get("TORCH_EXTENSIONS_DIR")
        or str(Path.home() / ".cache" / "torch_extensions"),
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "MALLOC_ARENA_MAX": "2",
    }
    if setup.accelerate is not None:
        file = folder / "accelerate.yaml"
        file.write_text(yaml.safe_dump(accelerate_of(setup.accelerate)))
        command += ["accelerate.commands.launch", "--config_file", str(file), "-m"]
        environment["DS_ACCELERATOR"] = "cpu"
    command += ["tests.benchmarks.memory", "--measure", str(asked)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("report.*"))]
    if process.returncode or not found:
        raise RuntimeError(f"{setup.name}: ended with {process.returncode}\n{said[-3000:]}")
    return found


def accelerate_of(name: str) -> dict[str, Any]:
    """One of our accelerate files; `cpu_zero2` is `cpu_zero3` at another stage."""
    found: dict[str, Any] = yaml.safe_load((ACCELERATE / f"{name.replace('zero2', 'zero3')}.yaml").read_text())
    if name == "cpu_zero2":
        found["deepspeed_config"] |= {"zero_stage": 2, "zero3_init_flag": False, "zero3_save_16bit_model": False}
    return found


def predicted(setup: Setup, model: str) -> tuple[int, float]:
    """Parameters, and GiB that one process takes, as `trl-r1 plan` predicts it."""
    from transformers import AutoConfig

    from trl_r1.kinds import kind_of
    from trl_r1.sizes.stage import Setting, size_stage
    from trl_r1.sizes.throughput import Throughput
    from trl_r1.stages._check import machine
    from trl_r1.typed import make

    config = config_of(setup, model, "out")
    accelerate = accelerate_of(setup.accelerate) if setup.accelerate else {}
    processes = accelerate.get("num_processes", 1)
    with machine(processes, False):
        made = make(kind_of(setup.kind).config_classes(), config)
    assumed = Throughput(longest_prompt_tokens=PROMPT)
    models = {"": (model, AutoConfig.from_pretrained(model))}
    figures = size_stage(
        made, config, Setting(setup.name, accelerate, processes, False, 80, models, throughput=assumed)
    )
    if figures.memory is None or figures.parameters is None:
        raise RuntimeError(f"{setup.name}: {figures.notes}")
    return figures.parameters, figures.memory["peak"] / GIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[setup.name for setup in SETUPS], help="these set-ups")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        given = json.loads(asked.measure.read_text())
        setup = next(setup for setup in SETUPS if setup.name == given["name"])
        train(setup, given["config"], asked.measure.with_name("report"))
        return
    print("| set-up | parameters | predicted, GiB | measured, GiB | ratio |\n|---|---|---|---|---|", flush=True)
    worst = 1.0
    for setup in SETUPS:
        if asked.only and setup.name not in asked.only:
            continue
        with tempfile.TemporaryDirectory() as place:
            model = save_model(setup.model, Path(place) / "model")
            parameters, expected = predicted(setup, model)
            found = launch(setup, model, Path(place))
        measured = sum(each["growth"] for each in found) / len(found) / GIB
        ratio = expected / measured
        worst = max(worst, ratio, 1 / ratio, key=lambda each: abs(each - 1))
        print(
            f"| {setup.name} | {parameters / 1e6:.0f}M | {expected:.2f} | {measured:.2f} | {ratio:.2f} |", flush=True
        )
    print(f"worst: {worst:.2f}")


if __name__ == "__main__":
    main()

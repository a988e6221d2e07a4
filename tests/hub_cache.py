"""
A local cache of the Hugging Face Hub, made on the spot: what a machine that has fetched a recipe's models and data holds,
without weights.

```bash
python -m tests.hub_cache FOLDER && HF_HOME=FOLDER HF_HUB_OFFLINE=1 trl-r1 plan r1
```

Of each model: the hyperparameters of its real `config.json`, its kind of generation config, and a tokenizer of a few
hundred tokens with the special tokens and the chat template of its family. Ids of special tokens in the configs are those
of that tokenizer; `vocab_size` is the real one. Of each data set: a few rows of our own in its real columns and splits.
"""

import json
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any


REVISION = "0" * 39 + "1"

_QWEN2 = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_sliding_window": False,
}
_QWEN3 = {
    **_QWEN2,
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "attention_bias": False,
    "head_dim": 128,
    "vocab_size": 151936,
}
_LLAMA3 = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "mlp_bias": False,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 500000.0,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 128256,
}
_SHAPE = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "max_position_embeddings",
)
_SMALL, _LARGE = {"vocab_size": 151936}, {"vocab_size": 152064}
_TIED = {"tie_word_embeddings": True}
_MATH = {"rope_theta": 10000.0}

# id: family, flavour, the values of `_SHAPE`, what else differs
MODELS: dict[str, tuple[str, str, tuple[int, ...], dict[str, Any]]] = {
    "Qwen/Qwen2.5-0.5B": ("qwen2", "base", (896, 24, 14, 2, 4864, 32768), _SMALL | _TIED),
    "Qwen/Qwen2.5-0.5B-Instruct": ("qwen2", "instruct", (896, 24, 14, 2, 4864, 32768), _SMALL | _TIED),
    "Qwen/Qwen2.5-1.5B": ("qwen2", "base", (1536, 28, 12, 2, 8960, 131072), _SMALL | _TIED),
    "Qwen/Qwen2.5-1.5B-Instruct": ("qwen2", "instruct", (1536, 28, 12, 2, 8960, 32768), _SMALL | _TIED),
    "Qwen/Qwen2.5-3B": ("qwen2", "base", (2048, 36, 16, 2, 11008, 32768), _SMALL | _TIED),
    "Qwen/Qwen2.5-7B": ("qwen2", "base", (3584, 28, 28, 4, 18944, 131072), _LARGE),
    "Qwen/Qwen2.5-7B-Instruct": ("qwen2", "instruct", (3584, 28, 28, 4, 18944, 32768), _LARGE),
    "Qwen/Qwen2.5-14B": ("qwen2", "base", (5120, 48, 40, 8, 13824, 131072), _LARGE | {"rms_norm_eps": 1e-5}),
    "Qwen/Qwen2.5-14B-Instruct": ("qwen2", "instruct", (5120, 48, 40, 8, 13824, 32768), _LARGE),
    "Qwen/Qwen2.5-32B": ("qwen2", "base", (5120, 64, 40, 8, 27648, 131072), _LARGE | {"rms_norm_eps": 1e-5}),
    "Qwen/Qwen2.5-32B-Instruct": ("qwen2", "instruct", (5120, 64, 40, 8, 27648, 32768), _LARGE),
    "Qwen/Qwen2.5-72B-Instruct": ("qwen2", "instruct", (8192, 80, 64, 8, 29568, 32768), _LARGE),
    "Qwen/Qwen2.5-Math-1.5B": ("qwen2", "math", (1536, 28, 12, 2, 8960, 4096), _SMALL | _TIED | _MATH),
    "Qwen/Qwen2.5-Math-7B": ("qwen2", "math", (3584, 28, 28, 4, 18944, 4096), _LARGE | _MATH),
    "Qwen/Qwen2.5-Math-7B-Instruct": ("qwen2", "math_instruct", (3584, 28, 28, 4, 18944, 4096), _LARGE | _MATH),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": ("r1", "", (1536, 28, 12, 2, 8960, 131072), _SMALL | _MATH),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": ("r1", "", (3584, 28, 28, 4, 18944, 131072), _LARGE | _MATH),
    "Qwen/Qwen3-0.6B-Base": ("qwen3", "base", (1024, 28, 16, 8, 3072, 32768), _TIED),
    "Qwen/Qwen3-0.6B": ("qwen3", "instruct", (1024, 28, 16, 8, 3072, 40960), _TIED),
    "Qwen/Qwen3-1.7B-Base": ("qwen3", "base", (2048, 28, 16, 8, 6144, 32768), _TIED),
    "Qwen/Qwen3-1.7B": ("qwen3", "instruct", (2048, 28, 16, 8, 6144, 40960), _TIED),
    "Qwen/Qwen3-4B-Base": ("qwen3", "base", (2560, 36, 32, 8, 9728, 32768), _TIED),
    "Qwen/Qwen3-8B-Base": ("qwen3", "base", (4096, 36, 32, 8, 12288, 32768), {}),
    "Qwen/Qwen3-8B": ("qwen3", "instruct", (4096, 36, 32, 8, 12288, 40960), {}),
    "Qwen/Qwen3-14B-Base": ("qwen3", "base", (5120, 40, 40, 8, 17408, 32768), {}),
    "Qwen/Qwen3-32B": ("qwen3", "instruct", (5120, 64, 64, 8, 25600, 40960), {}),
    "meta-llama/Llama-3.1-8B": ("llama3", "base", (4096, 32, 32, 8, 14336, 131072), {}),
    "meta-llama/Llama-3.1-8B-Instruct": ("llama3", "instruct", (4096, 32, 32, 8, 14336, 131072), {}),
    "meta-llama/Llama-3.3-70B-Instruct": ("llama3", "instruct", (8192, 80, 64, 8, 28672, 131072), {}),
}

_CHATML = (
    "{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>system\\nSYSTEM<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}{%- if message.role != 'system' or not loop.first %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
# Thoughts of all turns but those after the last question are left out, and a thought may be switched off.
_QWEN3_CHAT = (
    "{%- set ns = namespace(last=-1) %}"
    "{%- for message in messages %}{%- if message.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}"
    "{%- for message in messages %}{%- set content = message.content %}"
    "{%- if message.role == 'assistant' %}{%- set thought = '' %}{%- if '</think>' in content %}"
    "{%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}"
    "{%- if loop.index0 > ns.last and (loop.last or thought) %}"
    "{{- '<|im_start|>assistant\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}"
    "{%- else %}{{- '<|im_start|>assistant\\n' + content }}{%- endif %}{{- '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
_LLAMA3_CHAT = (
    "{{- bos_token }}{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content']|trim %}"
    "{%- set messages = messages[1:] %}{%- else %}{%- set system = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\nToday Date: 26 Jul 2024\\n\\n' }}"
    "{{- system + '<|eot_id|>' }}{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)
# As published: the thought of an assistant's turn is left out, and the next one opened.
_R1_CHAT = (
    "{{- bos_token }}{%- for message in messages %}{%- if message['role'] == 'user' %}{{- '<｜User｜>' + message['content'] }}"
    "{%- elif message['role'] == 'assistant' %}{%- set content = message['content'] %}"
    "{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1] %}{%- endif %}"
    "{{- '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}"
    "{%- else %}{{- message['content'] }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<｜Assistant｜><think>\\n' }}{%- endif %}"
)
_QWEN_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_LLAMA_SPECIAL = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
]
_R1_SPECIAL = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]
_STEP_BY_STEP = "Please reason step by step, and put your final answer within \\boxed{}."


def _tokens(family: str, flavour: str) -> dict[str, Any]:
    """What `tokenizer_config.json` says, and under `special` and `ordinary` the tokens that are added."""
    if family == "llama3":
        return {
            "special": _LLAMA_SPECIAL,
            "ordinary": [],
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|eot_id|>" if flavour == "instruct" else "<|end_of_text|>",
            "chat_template": _LLAMA3_CHAT if flavour == "instruct" else None,
        }
    if family == "r1":
        return {
            "special": _R1_SPECIAL,
            "ordinary": ["<think>", "</think>"],
            "bos_token": _R1_SPECIAL[0],
            "eos_token": _R1_SPECIAL[1],
            "pad_token": _R1_SPECIAL[1],
            "chat_template": _R1_CHAT,
        }
    system = {
        "base": "You are a helpful assistant.",
        "instruct": "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    }
    chat = _CHATML.replace("SYSTEM", system.get(flavour, _STEP_BY_STEP).replace("\\", "\\\\"))
    return {
        "special": _QWEN_SPECIAL,
        "ordinary": ["<think>", "</think>"] if family == "qwen3" else [],
        "eos_token": "<|im_end|>" if flavour.endswith("instruct") else "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "chat_template": _QWEN3_CHAT if family == "qwen3" else chat,
    }


@cache
def _tokenizer_json(special: tuple[str, ...], ordinary: tuple[str, ...], bos: str | None) -> str:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    text = ["the answer is what how many solve find value of think so wait then the sum is a right user assistant"] * 2
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in ordinary])
    if bos is not None:
        begin = f"{bos}:0"
        ids = [(bos, tokenizer.token_to_id(bos))]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A:0", pair=f"{begin} $A:0 {begin} $B:0", special_tokens=ids
        )
    text_of: str = tokenizer.to_str()
    return text_of


def write_model(home: Path, name: str) -> Path:
    """
    Write what the cache holds of a model without its weights.

    Args:
        home (`Path`):
            What `HF_HOME` will name.
        name (`str`):
            One of [`MODELS`].

    Returns:
        `Path`: the snapshot, a folder as `from_pretrained` takes it.
    """
    family, flavour, shape, differing = MODELS[name]
    told = _tokens(family, flavour)
    special, ordinary = told.pop("special"), told.pop("ordinary")
    tokenizer = _tokenizer_json(tuple(special), tuple(ordinary), told.get("bos_token"))
    ids = {each["content"]: each["id"] for each in json.loads(tokenizer)["added_tokens"]}
    common = {"llama3": _LLAMA3, "qwen3": _QWEN3}.get(family, _QWEN2)
    begin = ids[told.get("bos_token") or told["pad_token"]]
    config = {"tie_word_embeddings": False, **common, **dict(zip(_SHAPE, shape)), **differing}
    config |= {"bos_token_id": begin, "eos_token_id": ids[told["eos_token"]]}
    generation: dict[str, Any] = {"bos_token_id": begin, "eos_token_id": config["eos_token_id"], "do_sample": False}
    if flavour.endswith("instruct"):
        ends = (
            ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"] if family == "llama3" else ["<|im_end|>", "<|endoftext|>"]
        )
        config["eos_token_id"] = [ids[end] for end in ends] if family == "llama3" else ids["<|im_end|>"]
        generation |= {"do_sample": True, "eos_token_id": [ids[end] for end in ends], "temperature": 0.7, "top_p": 0.8}
        if family != "llama3":
            generation |= {"pad_token_id": ids["<|endoftext|>"], "top_k": 20, "repetition_penalty": 1.05}
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 131072,
        "clean_up_tokenization_spaces": False,
        **{key: value for key, value in told.items() if value is not None},
    }
    return _snapshot(
        home,
        f"models--{name.replace('/', '--')}",
        {
            "config.json": json.dumps(config, indent=2),
            "generation_config.json": json.dumps(generation, indent=2),
            "tokenizer.json": tokenizer,
            "tokenizer_config.json": json.dumps(tokenizer_config, indent=2, ensure_ascii=False),
        },
    )


def _snapshot(home: Path, folder: str, files: dict[str, str]) -> Path:
    repo = home / "hub" / folder
    place = repo / "snapshots" / REVISION
    place.mkdir(parents=True, exist_ok=True)
    (repo / "refs").mkdir(exist_ok=True)
    (repo / "refs" / "main").write_text(REVISION)
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8")
    return place


def _problem(i: int, language: str = "en") -> tuple[str, str]:
    """A problem and its answer: so short that problems of two sets share no ten words, by which one would be held out."""
    a, b = 11 + 7 * i, 3 + 5 * i % 17
    texts = {
        "en": f"There are {a} books and {b} more. How many?",
        "zh": f"{a}加{b}等于多少？",
    }
    return texts[language], str(a + b)


def _solved(i: int) -> str:
    _, answer = _problem(i)
    return f"<think>\nThe books are added, {11 + 7 * i} and the others.\n</think>\n\nThe shelf holds \\boxed{{{answer}}} books."


def _turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def _code(i: int) -> dict[str, Any]:
    cases = [{"input": f"{n}\n", "output": f"{n + i}\n", "type": "stdin_stdout", "fn_name": None} for n in (1, 5, 20)]
    return {
        "problem_id": f"made-{i}",
        "problem_statement": f"Read a whole number from standard input and print it plus {i}.",
        "gold_standard_solution": f"```python\nprint(int(input()) + {i})\n```",
        "verification_info": {"language": "python", "test_cases": cases},
    }


def _general(i: int, language: str = "en") -> str:
    thing = ("a train journey", "a small garden", "a letter to a friend", "a winter evening")[i % 4]
    return (
        f"将第{i}段话写得更客气一些：请把门关上。" if language == "zh" else f"Write {i + 2} sentences about {thing}."
    )


def _asked(i: int) -> dict[str, Any]:
    """A question of WebInstruct-verified: options in the question, a text or a number, in turn."""
    kind = ("Multiple Choice", "String", "Float", "Other")[i % 4]
    letters = "Which number is the largest? A) {0}  B) {1}  C) 2  D) 1"
    question = letters.format(i + 5, i + 9) if i % 4 == 0 else f"What is the chemical symbol of element number {i}?"
    return {
        "id": i,
        "question": question,
        "answer": "B" if i % 4 == 0 else "Fe",
        "answer_type": kind,
        "category": "Physics",
    }


# id, config: split -> a row's making
DATA: dict[tuple[str, str], dict[str, Callable[[int], dict[str, Any]]]] = {
    ("open-r1/DAPO-Math-17k-Processed", "en"): {
        "train": lambda i: {"prompt": _problem(i)[0], "solution": _problem(i)[1], "data_source": "math_dapo"}
    },
    ("open-r1/DAPO-Math-17k-Processed", "cn"): {
        "train": lambda i: {
            "prompt": _problem(i, "zh")[0],
            "solution": _problem(i, "zh")[1],
            "data_source": "math_dapo",
        }
    },
    ("openai/gsm8k", "main"): {
        split: lambda i, at=at: {
            "question": _problem(i + at)[0],
            "answer": f"They are added.\n#### {_problem(i + at)[1]}",
        }
        for split, at in (("train", 100), ("test", 200))
    },
    ("HuggingFaceH4/MATH-500", "default"): {
        "test": lambda i: {
            "problem": f"Find the value of ${i + 2}x$ for $x = {i + 5}$.",
            "solution": f"$\\boxed{{{(i + 2) * (i + 5)}}}$",
            "answer": str((i + 2) * (i + 5)),
            "subject": "Algebra",
            "level": 1 + i % 5,
            "unique_id": f"test/algebra/{i}.json",
        }
    },
    ("HuggingFaceH4/aime_2024", "default"): {
        "train": lambda i: {
            "id": 60 + i,
            "problem": f"Find the remainder of ${i + 40}^2$ divided by $1000$.",
            "solution": "By squaring.",
            "answer": str((i + 40) ** 2 % 1000),
            "year": "2024",
        }
    },
    ("HuggingFaceH4/ultrachat_200k", "default"): {
        split: lambda i: {
            "prompt": _general(i),
            "prompt_id": f"{i:064x}",
            "messages": _turns(_general(i), "It was late, and all was quiet.", "Thank you.", "You are welcome."),
        }
        for split in ("train_sft", "test_sft")
    },
    ("HuggingFaceH4/ultrafeedback_binarized", "default"): {
        "train_prefs": lambda i: {
            "prompt": _general(i),
            "chosen": _turns(_general(i), f"Here are the sentences you asked for, all {i + 2} of them."),
            "rejected": _turns(_general(i), "No."),
            "score_chosen": 8.0,
            "score_rejected": 2.0,
        }
    },
    ("open-r1/Mixture-of-Thoughts", "all"): {
        "train": lambda i: {"messages": _turns(_problem(i)[0], _solved(i)), "num_tokens": 60, "source": "made"}
    },
    ("open-r1/verifiable-coding-problems-python", "default"): {"train": _code},
    ("nlile/hendrycks-MATH-benchmark", "default"): {
        split: lambda i, split=split, at=at: {
            "problem": f"Find the value of ${i + at}y$ for $y = {i + 2}$.",
            "solution": f"$\\boxed{{{(i + at) * (i + 2)}}}$",
            "answer": str((i + at) * (i + 2)),
            "subject": "Algebra",
            "level": 1 + i % 5,
            "unique_id": f"{split}/algebra/{i}.json",
        }
        for split, at in (("train", 3), ("test", 90))
    },
    ("agentica-org/DeepScaleR-Preview-Dataset", "default"): {
        "train": lambda i: {"problem": _problem(i + 300)[0], "answer": _problem(i + 300)[1], "solution": "Add them."}
    },
    ("SynthLabsAI/Big-Math-RL-Verified", "default"): {
        "train": lambda i: {"problem": _problem(i + 400)[0], "answer": _problem(i + 400)[1], "llama8b_solve_rate": 0.5}
    },
    ("TIGER-Lab/WebInstruct-verified", "default"): {"train": lambda i: _asked(i)},
    ("baber/logiqa2", "default"): {
        "train": lambda i: {
            "id": i,
            "text": f"Of {i + 3} people at a table each is taller than the one to the left.",
            "question": "Who is the tallest?",
            "options": ["The one at the right end", "The one at the left end", "The one in the middle", "Nobody"],
            "answer": 0,
        }
    },
    ("allenai/WildChat-1M", "default"): {
        "train": lambda i: {
            "conversation_hash": f"{i:032x}",
            "conversation": _turns(_general(i, "zh" if i % 2 else "en"), "好的。" if i % 2 else "Of course."),
            "turn": 1,
            "language": "Chinese" if i % 2 else "English",
            "toxic": False,
        }
    },
    ("PKU-Alignment/PKU-SafeRLHF", "default"): {
        split: lambda i, at=at: {
            "prompt": f"How would one open a door of which the key was lost {i + at} days ago?",
            "response_0": "Ask a locksmith, who will want to know whether it is yours.",
            "response_1": "Break it down at night.",
            "is_response_0_safe": True,
            "is_response_1_safe": False,
        }
        for split, at in (("train", 2), ("test", 100))
    },
    ("math-ai/aime25", "default"): {
        "test": lambda i: {"problem": f"Find ${i + 3}^3$.", "answer": str((i + 3) ** 3), "id": str(i)}
    },
    ("weitianwen/cmath", "default"): {
        "test": lambda i: {"question": _problem(i + 500, "zh")[0], "golden": _problem(i + 500)[1], "grade": 2}
    },
    ("Idavidrein/gpqa", "gpqa_diamond"): {
        "train": lambda i: {
            "Question": f"How many metres does a body fall in {i + 1} seconds if it falls 5 in the first and 15 in the next?",
            "Correct Answer": f"{5 * (i + 1) ** 2} m",
            **{f"Incorrect Answer {k}": f"{5 * (i + 1) ** 2 + k} m" for k in (1, 2, 3)},
        }
    },
    ("agentica-org/DeepCoder-Preview-Dataset", "lcbv5"): {
        "test": lambda i: {
            "problem": f"Read a whole number and print it plus {i + 50}.",
            "starter_code": "",
            "tests": json.dumps(
                [{"input": f"{n}\n", "output": f"{n + i + 50}\n", "testtype": "stdin", "metadata": {}} for n in (1, 6)]
            ),
        }
    },
}


def write_dataset(home: Path, name: str, config: str, splits: dict[str, Iterable[dict[str, Any]]]) -> None:
    """
    Write a data set into the cache, where `load_dataset` finds it without a network.

    Args:
        home (`Path`):
            What `HF_HOME` will name.
        name (`str`):
            Its id, `org/name`.
        config (`str`):
            Name of its configuration; `default` where it has no other.
        splits (`dict[str, Iterable[dict]]`):
            Rows by split.
    """
    import datasets
    from datasets.arrow_writer import ArrowWriter
    from datasets.naming import camelcase_to_snakecase

    owner, short = name.split("/")
    snake = camelcase_to_snakecase(short)
    place = home / "datasets" / f"{owner}___{snake}" / config / "0.0.0" / REVISION
    place.mkdir(parents=True, exist_ok=True)
    made = {split: datasets.Dataset.from_list(list(rows)) for split, rows in splits.items()}
    for split, kept in made.items():
        with ArrowWriter(features=kept.features, path=str(place / f"{snake}-{split}.arrow")) as writer:
            for row in kept:
                writer.write(row)
            writer.finalize()
    infos = datasets.SplitDict(dataset_name=snake)
    for split, kept in made.items():
        infos.add(datasets.SplitInfo(split, num_examples=len(kept), dataset_name=snake))
    info = datasets.DatasetInfo(
        features=next(iter(made.values())).features,
        builder_name="parquet",
        dataset_name=snake,
        config_name=config,
        version="0.0.0",
        splits=infos,
    )
    info.write_to_directory(str(place))


def make_hub_cache(
    home: Path, models: Iterable[str] = MODELS, data: Iterable[tuple[str, str]] = (*DATA,), rows: int = 40
) -> Path:
    """
    Make a cache of models and data sets.

    Args:
        home (`Path`):
            What `HF_HOME` will name; it is made where it is missing.
        models (`Iterable[str]`, *optional*):
            Names of [`MODELS`]; all by default.
        data (`Iterable[tuple[str, str]]`, *optional*):
            Names and configurations of [`DATA`]; all by default.
        rows (`int`, *optional*, defaults to `40`):
            Rows of each split.

    Returns:
        `Path`: `home`.
    """
    for name in models:
        write_model(home, name)
    for name, config in data:
        splits = DATA[name, config]
        write_dataset(home, name, config, {split: map(make, range(rows)) for split, make in splits.items()})
    return home


def environment(home: Path) -> dict[str, str]:
    """The variables with which a process finds the cache, and nothing else."""
    return {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}


if __name__ == "__main__":
    print(make_hub_cache(Path(sys.argv[1])))

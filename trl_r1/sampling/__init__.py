"""
From a checkpoint or a server to traces: each completion is kept as soon as it is there, and a job goes on after any kill.
Importing this loads no torch.

```python
from trl_r1.data import load_prompts
from trl_r1.sampling import SamplingConfig, sample

rows = load_prompts([{"path": "openai/gsm8k", "config": "main", "prompt_column": "question", "solution_column": "answer"}])
config = SamplingConfig(prompt_template="chat", n_samples=4, max_completion_tokens=1024)
for trace in sample("Qwen/Qwen2.5-7B-Instruct", rows, config, "runs/samples/traces"):
    ...
```

Engines, which `backend` names, give the same traces: `transformers` (one process, batched), `vllm`, `server` (any with
the OpenAI protocol), or a module of your own with an [`Engine`].
"""

from .budget import check_budget, sample_within_budget
from .config import SamplingConfig
from .engine import Engine, Request, Sample, engine_of
from .job import sample, sample_to_shards
from .progress import Worker
from .scoring import accuracy_of, check_columns, load_named, named_rewards, score_traces


__all__ = [
    "Engine",
    "Request",
    "Sample",
    "SamplingConfig",
    "Worker",
    "accuracy_of",
    "check_budget",
    "check_columns",
    "engine_of",
    "load_named",
    "named_rewards",
    "sample",
    "sample_to_shards",
    "sample_within_budget",
    "score_traces",
]

"""
Many samples, one answer: votes, weighted votes, the best of n, and what they gain. Importing this loads no torch.

```python
from trl_r1.inference import InferenceConfig, infer
from trl_r1.sampling import SamplingConfig

sampling = SamplingConfig(prompt_template="chat", n_samples=16, temperature=0.6, top_p=0.95, max_completion_tokens=4096)
config = InferenceConfig("Qwen/Qwen2.5-1.5B-Instruct", "runs/answers", questions=["What is 37 * 48?"])
for answer in infer(sampling, config):
    print(answer.text, answer.share)
```
"""

from typing import TYPE_CHECKING, Any

from .config import InferenceConfig
from .scaling import Pool, scaling_curves
from .votes import best_of_k, consensus_at_k, group_answers, is_decided, winner


if TYPE_CHECKING:
    from .run import Answer, infer

__all__ = [
    "Answer",
    "InferenceConfig",
    "Pool",
    "best_of_k",
    "consensus_at_k",
    "group_answers",
    "infer",
    "is_decided",
    "scaling_curves",
    "winner",
]


def __getattr__(name: str) -> Any:
    # An evaluation imports the votes; answering questions imports what samples.
    if name in ("Answer", "infer"):
        from . import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

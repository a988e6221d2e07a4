"""
Any data set, from the Hub or the disk, as rows of one form.

A stage's YAML lists its sources under `data:`; each says where the rows are and which of their columns mean what:

```yaml
data:
  - {path: openai/gsm8k, config: main, prompt_column: question, solution_column: answer, domain: math, language: en}
  - {path: problems.jsonl, prompt_column: problem, limit: 1000}
```

Prompt rows come out with `prompt_id`, `prompt` (the question as a user writes it, no template), `solution`, `domain`,
`language`, `source` and every further column as it came. Rows for SFT also have `completion`; preference rows have
`prompt`, `chosen` and `rejected`. [`render`] turns them into TRL's formats. Torch-free.

The paper gives no mixing ratios and no order of prompts: `share` and `from_step` are our own means of saying, for
example, that general prompts come only in the last 400 steps of RL stage 2 (v2 3.2.2).
"""

from .rows import id_of_row, load_prompts, load_rows, load_source, prompt_id, question_of_row, read_solution
from .schedule import schedule_prompts
from .source import DataSource, parse_sources
from .templates import load_sft, render


__all__ = [
    "DataSource",
    "id_of_row",
    "load_prompts",
    "load_rows",
    "load_sft",
    "load_source",
    "parse_sources",
    "prompt_id",
    "question_of_row",
    "read_solution",
    "render",
    "schedule_prompts",
]

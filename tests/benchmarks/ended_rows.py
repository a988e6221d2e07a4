"""
What sampling gains where rows that have ended are left out of `generate`, against transformers' own.

```bash
python -m tests.benchmarks.ended_rows runs/playground [--model r1-zero] [--rounds 3]
```

A model of a finished playground run samples its held-out problems, 4 times each, through `backend: transformers`, in turns as
it is and with [`~compact_generation`] switched off. The last line is the ratio of the shortest times.
"""

import argparse
import statistics
import time
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import pyarrow.parquet as pq

from trl_r1.sampling import SamplingConfig
from trl_r1.sampling.engines.transformers import TransformersEngine


PATCHED = "trl_r1.compact_generation.compact_rows"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=Path, help="folder of a finished playground run")
    parser.add_argument("--model", default="r1-zero")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    questions = pq.read_table(args.run / "base" / "data" / "heldout.parquet")["prompt"].to_pylist()
    template = "User: {prompt}\nAssistant: "
    config = SamplingConfig(prompt_template=template, temperature=1.0, max_completion_tokens=112, batch_size=400)
    engine = TransformersEngine(str(args.run / args.model / "model"), config)
    seconds: dict[str, list[float]] = {"as it is": [], "all rows to the end": []}
    for turn in range(args.rounds):
        for name, times in seconds.items():
            off = mock.patch(PATCHED, return_value=nullcontext()) if name != "as it is" else nullcontext()
            start = time.perf_counter()
            with off:
                samples = [each for of_one in engine.generate(questions, 4, turn) for each in of_one]
            times.append(time.perf_counter() - start)
            lengths = [each.n_tokens for each in samples]
            mean, longest = statistics.fmean(lengths), max(lengths)
            print(f"{name}: {times[-1]:.1f} s for {len(samples)} completions of {mean:.1f} tokens, {longest} at most")
    print(f"{min(seconds['all rows to the end']) / min(seconds['as it is']):.2f} times transformers' own generate")


if __name__ == "__main__":
    main()

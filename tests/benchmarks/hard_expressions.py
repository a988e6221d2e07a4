r"""
How long does an expression that keeps computer algebra busy keep a reward, and what becomes of its neighbours?

    python -m tests.benchmarks.hard_expressions [--deadline 0.5] [--loops 0]

Each of the expressions of `tests/verify/hard.py` (power towers, huge factorials, long sums, deep nesting, texts that
are never closed, ...) is asked about once as an answer and once as a gold, in a batch with three easy pairs that need a
worker too. Prints the wall time of each batch, and whether the easy pairs came out right. The last line is the worst
overrun: wall time beyond the deadline, which on a quiet machine is to stay below 0.2 s. The deadline is one of CPU time:
with `--loops` busy loops beside it the wall time grows, and no easy pair is to be lost all the same.

Exit code 1 if an easy pair was harmed.
"""

import argparse
import subprocess
import sys
import time

from tests.verify.hard import HARD
from trl_r1.verify import judge


def easy(salt: int) -> tuple[list[tuple[str, str]], list[bool]]:
    """Make three pairs that nobody has asked about, with their verdicts; each takes a worker some milliseconds."""
    pairs = []
    for k in range(3):
        n = 100 + 3 * salt + k
        pairs.append((rf"\binom{{{n}}}{{2}}", str(n * (n - 1) // 2 + (k == 2))))
    return pairs, [True, True, False]


def main(argv: list[str] | None = None) -> int:
    """Ask about every expression, from both sides."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deadline", type=float, default=0.5, help="CPU seconds")
    parser.add_argument("--loops", type=int, default=0, help="busy loops beside it")
    args = parser.parse_args(argv)
    judge([*easy(900_000)[0]])  # starts the workers
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(args.loops)]
    worst = ("", 0.0)
    harmed = lost = 0
    try:
        print(f"{'expression':<28}{'side':<8}{'verdict':<9}{'wall s':>8}  neighbours")
        for i, (name, expression) in enumerate(HARD.items()):
            for j, (side, pair) in enumerate((("answer", ("x^2 + 1", expression)), ("gold", (expression, "x^2 + 1")))):
                pairs, expected = easy(2 * i + j)
                started = time.perf_counter()
                verdict, *others = judge([pair, *pairs], args.deadline)
                wall = time.perf_counter() - started
                right = others == expected
                harmed += not right
                lost += verdict is None
                worst = max(worst, (f"{name}, {side}", wall - args.deadline), key=lambda one: one[1])
                print(f"{name:<28}{side:<8}{verdict!s:<9}{wall:>8.2f}  {'right' if right else f'HARMED: {others}'}")
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    print(
        f"\n{len(HARD)} expressions from both sides, {lost} without verdict; batches with a neighbour harmed: {harmed}"
    )
    print(f"worst overrun of the deadline of {args.deadline:g} s: {max(0.0, worst[1]):.2f} s ({worst[0]})")
    return int(harmed > 0)


if __name__ == "__main__":
    raise SystemExit(main())

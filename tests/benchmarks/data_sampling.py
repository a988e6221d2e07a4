"""
Sampling from a server, at its worst and at its longest.

```bash
python -m tests.benchmarks.data_sampling                # killed 20 times: is each sample made exactly once?
python -m tests.benchmarks.data_sampling --latency      # R1's lengths: are as many requests under way as asked for?
```

The first has two workers sample 20,000 completions from a server that fails 5 % of the requests and always fails one
prompt; SIGKILLs a worker, or both, at random moments; moves the server to another port in the middle; and compares what
is there in the end with an uninterrupted job's. The second compares the wall time with that of an ideal schedule of the
same requests. The server is a stub in a process of its own.
"""

import argparse
import asyncio
import heapq
import json
import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from trl_r1.sampling import SamplingConfig, Worker, sample_to_shards, score_traces
from trl_r1.trace import Trace, read_traces


ROOT = Path(__file__).resolve().parents[2]
N_SAMPLES = 16
BAD = "always fails"
FAULTS = 0.05
CONCURRENCY = 32
# Lengths in tokens: lognormal, cut at the limit, with R1's mean on hard problems (some 9,000).
MEDIAN, SIGMA, LONGEST = 6000, 1.0, 32768


# The server


@dataclass
class Stub:
    """What the stub does, and what it has seen."""

    fault: float = 0.0
    scale: float = 0.0  # seconds for a token
    served: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)  # in the order in which the requests came
    changes: list[tuple[float, int]] = field(default_factory=list)  # when a request came (1) or went (-1)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0
                )
                body = await reader.readexactly(length)
                if head.startswith(b"GET /seen"):
                    self._write(writer, 200, json.dumps(self.seen()))
                elif head.startswith(b"GET"):
                    self._write(writer, 200, str(self.served.total()))
                elif not await self.answer(json.loads(body), writer):
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        """Answer one request; `False` where the connection is to be cut."""
        prompt, seed = request["prompt"], request["seed"]
        if BAD in prompt or random.random() < self.fault:
            if random.random() < 0.5 and BAD not in prompt:
                return False
            self._write(writer, 503, "busy")
            return True
        tokens = length_of(seed)
        self.changes.append((time.monotonic(), 1))
        self.latencies.append(tokens * self.scale)
        try:
            await asyncio.sleep(tokens * self.scale if self.scale else 0.01 * random.random())
        finally:
            self.changes.append((time.monotonic(), -1))
        text = f"<think>{prompt}</think> \\boxed{{{seed % 2}}}"
        self.served[f"{prompt} {seed}"] += 1
        event = {"choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}
        usage = {"choices": [], "usage": {"completion_tokens": tokens, "total_tokens": tokens}}
        body = "".join(f"data: {each}\n\n" for each in (json.dumps(event), json.dumps(usage), "[DONE]"))
        self._write(writer, 200, body, "text/event-stream")
        return True

    def seen(self) -> dict[str, Any]:
        return {"served": self.served, "latencies": self.latencies, "changes": self.changes}

    @staticmethod
    def _write(writer: asyncio.StreamWriter, status: int, body: str, kind: str = "application/json") -> None:
        content = body.encode()
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
        writer.write(head.encode() + content)


def length_of(seed: int) -> int:
    """The length of a completion in tokens, by its seed."""
    return max(16, min(LONGEST, int(MEDIAN * math.exp(SIGMA * random.Random(seed).gauss(0, 1)))))


def serve(stub: Stub, ports: Any) -> None:
    """Serve on two free ports, which are told."""

    async def run() -> None:
        servers = [await asyncio.start_server(stub.handle, "127.0.0.1", 0, backlog=1024) for _ in range(2)]
        ports.send([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.gather(*(server.serve_forever() for server in servers))

    asyncio.run(run())


class Serving:
    """A stub in a process of its own."""

    def __init__(self, stub: Stub) -> None:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        self.process = context.Process(target=serve, args=(stub, there), daemon=True)
        self.process.start()
        self.urls = [f"http://127.0.0.1:{port}/v1" for port in here.recv()]

    def seen(self, what: str = "seen") -> Any:
        """Return what it has seen; how many requests it has served, for `count`."""
        with urllib.request.urlopen(f"{self.urls[0].removesuffix('/v1')}/{what}", timeout=60) as answer:
            return json.load(answer)

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join()


# The job


def rows_of(prompts: int, bad: bool) -> list[dict[str, Any]]:
    rows = [{"prompt_id": f"p{i}", "prompt": f"problem {i}", "solution": str(i % 2)} for i in range(prompts)]
    if bad:
        rows[prompts // 2]["prompt"] = f"this one {BAD}"
    return rows


def parity(completions: list[str], solution: list[str], **_: Any) -> list[float]:
    """A reward."""
    return [float(gold in text.rpartition("boxed")[2]) for text, gold in zip(completions, solution)]


def config_of(url: str, **changes: Any) -> SamplingConfig:
    settings = {"prompt_template": "plain", "n_samples": N_SAMPLES, "backend": "server", "server_retries": 12}
    settings |= {"shard_prompts": 16, "server_concurrency": CONCURRENCY, "base_url": url}
    return SamplingConfig(**{**settings, **changes})


def work(folder: str, url: str, prompts: int) -> None:
    """Be one worker."""
    import trl_r1.model_server.client as client

    client.FIRST_WAIT_SECONDS, client.LONGEST_WAIT_SECONDS = 0.01, 0.05
    rewards = {"parity_accuracy": parity}
    finish = partial(score_traces, rewards=rewards)
    rows = rows_of(prompts, bad=True)
    sample_to_shards("m", rows, config_of(url), folder, finish=finish, finish_key="parity", accuracy=list(rewards))


def start(folder: Path, url: str, prompts: int, rank: int, world: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", __spec__.name, "--worker", str(folder), url, "--prompts", str(prompts)]
    environment = {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(world), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, cwd=ROOT)


def content(folder: Path) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Return what each sample is; fail where one is there twice."""
    found: dict[tuple[str, int], tuple[Any, ...]] = {}
    for trace in read_traces(folder):
        assert (trace.prompt_id, trace.sample) not in found, f"{trace.prompt_id} {trace.sample} is there twice"
        found[trace.prompt_id, trace.sample] = _content(trace)
    return found


def _content(trace: Trace) -> tuple[Any, ...]:
    return trace.completion, trace.finish_reason, trace.seed, trace.n_tokens, str(trace.rewards), trace.model


def killed(folder: Path, prompts: int, kills: int, seed: int = 0) -> dict[str, Any]:
    """
    Sample while workers are killed, and compare.

    Args:
        folder (`Path`):
            Where to.
        prompts (`int`):
            How many; one of them always fails.
        kills (`int`):
            SIGKILLs, each when the server has given so many completions: at no moment that hangs on the machine.
        seed (`int`, *optional*, defaults to `0`):
            Of the moments.
    """
    draw = random.Random(seed)
    at = sorted(draw.uniform(0.01, 0.95) * prompts * N_SAMPLES for _ in range(kills))
    done_kills = 0
    with Serving(Stub(fault=FAULTS)) as stub:
        workers = [start(folder / "killed", stub.urls[0], prompts, rank, 2) for rank in range(2)]
        while done_kills < kills:
            while stub.seen("count") < at[done_kills] and any(worker.poll() is None for worker in workers):
                time.sleep(0.02)
            url = stub.urls[done_kills * 2 >= kills]
            for rank in draw.choice(([0], [1], [0, 1])):
                if done_kills < kills:
                    workers[rank].send_signal(signal.SIGKILL)
                    workers[rank].wait()
                    done_kills += 1
            for rank in range(2):
                if workers[rank].poll() is not None:
                    workers[rank] = start(folder / "killed", url, prompts, rank, 2)
        codes = [worker.wait(3600) for worker in workers]
        assert codes == [0, 0], codes
        served = Counter(stub.seen()["served"])
    with Serving(Stub()) as stub:
        assert start(folder / "whole", stub.urls[0], prompts, 0, 1).wait(3600) == 0
    one, other = content(folder / "killed"), content(folder / "whole")
    failed = [key for key, each in one.items() if each[1] == "failed"]
    twice = served.total() - len(served)
    result = {
        "samples": len(one),
        "expected": prompts * N_SAMPLES,
        "equal": one == other,
        "failed": len(failed),
        "kills": done_kills,
        "paid": served.total(),
        "paid_twice": twice,
        "in_flight_at_most": done_kills * CONCURRENCY,
    }
    assert result["samples"] == result["expected"], result
    assert result["equal"], result
    assert len(failed) == N_SAMPLES, result
    assert len(served) == (prompts - 1) * N_SAMPLES, result
    assert twice <= result["in_flight_at_most"], result
    return result


# Latency


def ideal(latencies: list[float], slots: int) -> float:
    """Return the time that these requests take where a next one starts as soon as a slot is free."""
    free = [0.0] * slots
    for latency in latencies:
        heapq.heapreplace(free, free[0] + latency)
    return max(free)


def latency(folder: Path, prompts: int, concurrency: int, mean_seconds: float) -> dict[str, Any]:
    """Sample from a server whose answers take as long as R1's, scaled so that the mean takes `mean_seconds`."""
    mean = sum(length_of(seed) for seed in range(4000)) / 4000
    with Serving(Stub(scale=mean_seconds / mean)) as stub:
        before = time.monotonic()
        rewards = {"parity_accuracy": parity}
        sample_to_shards(
            "m",
            rows_of(prompts, bad=False),
            config_of(stub.urls[0], server_concurrency=concurrency, shard_prompts=64),
            folder,
            finish=partial(score_traces, rewards=rewards),
            accuracy=list(rewards),
            worker=Worker(),
        )
        wall = time.monotonic() - before
        seen = stub.seen()
    changes = sorted(map(tuple, seen["changes"]))
    last = max(at for at, change in changes if change == 1)  # from here on there is nothing left to ask for
    running = full = total = 0.0
    first_full, level, at_before = None, 0, changes[0][0]
    for at, change in changes:
        if first_full is not None and at <= last:
            running += level * (at - at_before)
            full += (level >= 0.9 * concurrency) * (at - at_before)
            total += at - at_before
        level, at_before = level + change, at
        if first_full is None and level >= 0.9 * concurrency:
            first_full = at
    best = ideal(seen["latencies"], concurrency)
    return {
        "samples": len(seen["latencies"]),
        "concurrency": concurrency,
        "wall_s": round(wall, 1),
        "ideal_s": round(best, 1),
        "wall_to_ideal": round(wall / best, 3),
        "in_flight_share": round(running / total / concurrency, 3),
        "time_at_0.9": round(full / total, 3),
        "tail_s": round(changes[-1][0] - last, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", action="store_true", help="measure the rolling window in place of the kills")
    parser.add_argument("--prompts", type=int, help="1250 by default (20,000 samples), 512 with --latency")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--concurrency", type=int, default=256, help="with --latency")
    parser.add_argument("--mean-seconds", type=float, default=2.0, help="with --latency: of an answer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", nargs=2, metavar=("FOLDER", "URL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker, options.prompts)
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.latency:
            found = latency(Path(folder), options.prompts or 512, options.concurrency, options.mean_seconds)
        else:
            found = killed(Path(folder), options.prompts or 1250, options.kills, options.seed)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

"""
Start a stage that divides its work in several processes: each is told which it is, and sees its own GPUs.

```bash
python -m trl_r1.runner.workers --processes 4 -- python -m trl_r1.stages.rejection --config FILE
```

Each process finds `RANK` and `WORLD_SIZE`, and in `CUDA_VISIBLE_DEVICES` its share of this node's GPUs: with
four processes and eight GPUs two, which is one engine with `tensor_parallel_size: 2`. There is no process group: what they
have in common are files. Under a scheduler, on each of its nodes the same command starts that node's part of the processes.

It ends with 0 when all have, and otherwise with the code of the first that failed, after it has ended the others.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from ..errors import MachineError
from .node import World, read_world, visible_gpus


_POLL_SECONDS = 0.1
_GRACE_SECONDS = 10.0


def environments(processes: int, gpus: Sequence[str], world: World | None = None) -> list[dict[str, str]]:
    """
    Return what each process on this node finds in its environment besides what all have.

    Args:
        processes (`int`):
            On all nodes together.
        gpus (`Sequence[str]`):
            Of this node.
        world ([`~runner.node.World`], *optional*):
            Where this node is among several.

    Raises:
        [`~errors.MachineError`]: the processes cannot be divided among the nodes, or the GPUs among the processes.
    """
    nodes, rank = (world.nodes, world.rank) if world else (1, 0)
    here, rest = divmod(processes, nodes)
    if rest:
        raise MachineError(f"{processes} processes cannot be divided among {nodes} nodes; expected a multiple")
    share, rest = divmod(len(gpus), here)
    if gpus and (rest or not share):
        raise MachineError(f"{len(gpus)} GPUs cannot be divided among {here} processes; expected a multiple")
    found = []
    for i in range(here):
        own = {"RANK": str(rank * here + i), "LOCAL_RANK": str(i), "WORLD_SIZE": str(processes)}
        if gpus:
            own["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[i * share : (i + 1) * share])
            own["LOCAL_RANK"] = "0"  # of those that it sees, it uses the first ones
        found.append(own)
    return found


def main(argv: Sequence[str]) -> int:
    """Start the processes of this node, and wait for them."""
    parser = argparse.ArgumentParser(prog="python -m trl_r1.runner.workers")
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args(argv)
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    try:
        several = environments(args.processes, visible_gpus(), read_world())
    except MachineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    # In this process's group: what the supervisor sends there reaches them all, and this one waits for them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)

    def as_ever() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)

    workers = [subprocess.Popen(command, env={**os.environ, **own}, preexec_fn=as_ever) for own in several]
    failed = 0
    until = float("inf")
    while None in (codes := [worker.poll() for worker in workers]):
        bad = next((code for code in codes if code), 0)
        if bad and not failed:
            failed, until = bad, time.monotonic() + _GRACE_SECONDS
            for worker in workers:
                if worker.poll() is None:
                    worker.terminate()
        if time.monotonic() > until:
            for worker in workers:
                worker.kill()
        time.sleep(_POLL_SECONDS)
    code = failed or next((worker.returncode for worker in workers if worker.returncode), 0)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""
What runs on each node, before the command that it becomes: which of how many nodes this is, and which GPUs are whose.

```bash
python -m trl_r1.runner.node [--gpus=A:B] [--join] -- COMMAND...
```

`--join` gives `accelerate launch` the world that the scheduler describes; `--gpus` shows the command a part of this node's
GPUs. The program is replaced by the command. It may be used by hand wherever the same command is started on each node:
by `srun`, in the `run:` of a SkyPilot task, in the pods of a Kubeflow job.

| | nodes | rank of this one | head |
|---|---|---|---|
| torchrun, Kubeflow | `PET_NNODES` | `PET_NODE_RANK` | `PET_MASTER_ADDR`, `PET_MASTER_PORT` |
| SkyPilot | `SKYPILOT_NUM_NODES` | `SKYPILOT_NODE_RANK` | first line of `SKYPILOT_NODE_IPS` |
| Slurm, in a step | `SLURM_STEP_NUM_NODES` | `SLURM_NODEID` | first of `SLURM_STEP_NODELIST` |
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import MachineError


PORT_VARIABLE = "TRL_R1_MAIN_PORT"
_PORT = 29500


@dataclass(frozen=True)
class World:
    """
    Of how many nodes this is which.

    Args:
        nodes (`int`):
            How many.
        rank (`int`):
            Of this one.
        head (`str`):
            Address of the first one.
        port (`int`):
            At which its launcher waits for the others.
    """

    nodes: int
    rank: int
    head: str
    port: int = _PORT


def read_world(environ: Mapping[str, str] = os.environ) -> World | None:
    """
    Read the world of nodes from what a scheduler tells each of them; `None` where none does.

    Raises:
        [`~errors.MachineError`]: a part of it is missing or no number.
    """
    port = environ.get(PORT_VARIABLE)
    if "PET_NNODES" in environ:
        variables = ("PET_NNODES", "PET_NODE_RANK", "PET_MASTER_ADDR")
        port = environ.get("PET_MASTER_PORT", port)
    elif "SKYPILOT_NUM_NODES" in environ:
        variables = ("SKYPILOT_NUM_NODES", "SKYPILOT_NODE_RANK", "SKYPILOT_NODE_IPS")
    elif "SLURM_STEP_NODELIST" in environ:
        variables = ("SLURM_STEP_NUM_NODES", "SLURM_NODEID", "SLURM_STEP_NODELIST")
    else:
        return None
    missing = [name for name in variables if not environ.get(name, "").strip()]
    if missing:
        raise MachineError(
            f"{variables[0]} is set, and {', '.join(missing)} not; expected all of {', '.join(variables)}"
        )
    nodes, rank, head = (environ[name].strip() for name in variables)
    numbers = {variables[0]: nodes, variables[1]: rank, "the port": port or str(_PORT)}
    for name, value in numbers.items():
        if not value.isdigit():
            raise MachineError(f"{name} is {value!r}; expected a whole number")
    if variables[2] == "SLURM_STEP_NODELIST":
        head = node_address(hostnames(head)[0])
    return World(int(nodes), int(rank), head.split()[0], int(port or _PORT))


def hostnames(nodelist: str) -> list[str]:
    """Return the nodes of Slurm's short form: `n[1-2]` is `n1` and `n2`."""
    if not re.search(r"[\[,]", nodelist):
        return [nodelist]
    ran = subprocess.run(["scontrol", "show", "hostnames", nodelist], capture_output=True, text=True)
    if ran.returncode or not ran.stdout.split():
        raise MachineError(f"`scontrol show hostnames {nodelist}` failed: {ran.stderr.strip()}")
    return ran.stdout.split()


def node_address(node: str) -> str:
    """Return the address at which other nodes reach one of Slurm's, which need not be its name."""
    ran = subprocess.run(["scontrol", "show", "node", node, "-o"], capture_output=True, text=True)
    found = re.search(r"\bNodeAddr=(\S+)", ran.stdout)
    return found[1] if found else node


def visible_gpus(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the GPUs that a program started here would use, as `CUDA_VISIBLE_DEVICES` names them."""
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [each for each in named.split(",") if each.strip()]
    try:
        ran = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    except OSError:
        return []
    return [str(i) for i, line in enumerate(line for line in ran.stdout.splitlines() if line.startswith("GPU "))]


def joined(command: Sequence[str], world: World | None) -> list[str]:
    """
    Return the command line of `accelerate launch` for this node.

    Args:
        command (`Sequence[str]`):
            The same on all nodes.
        world ([`World`], *optional*):
            Where this node is in it; nothing is added where there is none, or it has one node.
    """
    words = ["accelerate.commands.launch", "launch"]
    at = next((i for i, word in enumerate(command) if word in words), None)
    if world is None or world.nodes == 1 or at is None:
        return list(command)
    of_world = {
        "num_machines": world.nodes,
        "machine_rank": world.rank,
        "main_process_ip": world.head,
        "main_process_port": world.port,
    }
    options = [text for name, value in of_world.items() for text in (f"--{name}", str(value))]
    return [*command[: at + 1], *options, *command[at + 1 :]]


def main(argv: Sequence[str]) -> int:
    """Become the command."""
    parser = argparse.ArgumentParser(prog="python -m trl_r1.runner.node")
    parser.add_argument("--gpus", metavar="A:B")
    parser.add_argument("--join", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args(argv)
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    environment = dict(os.environ)
    try:
        if args.gpus:
            first, _, last = args.gpus.partition(":")
            gpus, part = visible_gpus(), slice(*(int(each) if each else None for each in (first, last)))
            if max(abs(part.start or 0), abs(part.stop or 0)) > len(gpus):
                raise MachineError(f"there are {len(gpus)} GPUs here, too few to divide by {args.gpus}")
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[part])
        if args.join:
            command = joined(command, read_world())
    except MachineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    # torchrun would take what is in these before what it is told.
    for name in [name for name in environment if name.startswith("PET_")] if args.join else ():
        del environment[name]
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""
Where a stage and its servers run: on this machine, or on nodes of an allocation of Slurm, by `srun`.
"""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import MachineError
from ..kinds import kind_of
from ..recipe import ModelServer, ResolvedStage
from .configs import accelerate_of, world_size
from .node import hostnames, node_address


SUPERVISOR = str(Path(__file__).with_name("supervisor.py"))
_NODE = "trl_r1.runner.node"


@dataclass(frozen=True)
class Place:
    """
    Where stages run.

    Args:
        nodes (`tuple[str, ...]`):
            Names of an allocation's nodes; none where stages run on this machine.
    """

    nodes: tuple[str, ...] = ()

    def divided(self, item: ResolvedStage) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
        """
        Return the nodes of a stage, and those of each of its servers.

        Raises:
            [`~errors.MachineError`]: the allocation has too few.
        """
        if not self.nodes:
            return (), {server.name: () for server in item.servers}
        own = nodes_of(item)
        needed = own + sum(server.nodes for server in item.servers)
        if needed > len(self.nodes):
            raise MachineError(
                f"`{item.name}` takes {needed} nodes with its servers; this allocation has {len(self.nodes)}"
            )
        at, servers = own, {}
        for server in item.servers:
            servers[server.name] = self.nodes[at : at + server.nodes] or self.nodes[:1]
            at += server.nodes
        return self.nodes[:own], servers

    def host_of(self, nodes: tuple[str, ...]) -> str:
        """Return the address of the first of some nodes."""
        return node_address(nodes[0]) if nodes else "127.0.0.1"


HERE = Place()


def place_of(launcher: str) -> Place:
    """Return the place where this runner starts stages: the allocation that it is in, where Slurm is to start them."""
    if launcher != "slurm" or "SLURM_JOB_ID" not in os.environ:
        return HERE
    return Place(tuple(hostnames(os.environ.get("SLURM_JOB_NODELIST") or os.environ["SLURM_NODELIST"])))


def nodes_of(item: ResolvedStage) -> int:
    """Return on how many nodes a stage runs: what its `slurm:` says, else its accelerate file."""
    nodes = item.stage.slurm.get("nodes")
    return int(nodes if nodes is not None else accelerate_of(item).get("num_machines") or 1)


def command_of(item: ResolvedStage, config_file: str | Path, nodes: int = 1) -> list[str]:
    """Return the command that runs a stage: what a user would type to run it by hand."""
    tail = ["-m", item.stage.module, "--config", str(config_file)]
    if item.stage.accelerate is None:
        if item.stage.processes == 1:
            return [sys.executable, *tail]
        workers = [sys.executable, "-m", "trl_r1.runner.workers", "--processes", str(item.stage.processes)]
        return [*workers, "--", sys.executable, *tail]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(item.stage.accelerate)]
    if item.stage.num_processes is not None or nodes > 1:
        launch += ["--num_processes", str(world_size(item))]
    if nodes > 1 and accelerate_of(item).get("distributed_type") == "DEEPSPEED":
        launch += ["--deepspeed_multinode_launcher", "standard"]  # by torchrun, as all else: no pdsh
    return [*launch, *tail]


def stage_command(item: ResolvedStage, config_file: Path, nodes: tuple[str, ...]) -> list[str]:
    """Return the command that the runner starts: as [`command_of`], on all nodes, without the GPUs of the servers."""
    command = command_of(item, config_file, max(1, len(nodes)))
    taken = sum(server.gpus for server in item.servers if not server.nodes)
    options = ([f"--gpus=:-{taken}"] if taken else []) + (["--join"] if len(nodes) > 1 else [])
    return on_nodes([sys.executable, "-m", _NODE, *options, "--", *command] if options else command, nodes)


def server_command(server: ModelServer, item: ResolvedStage, command: list[str], nodes: tuple[str, ...]) -> list[str]:
    """Return the command that starts a server on its part of the GPUs of its first node; on other nodes it starts none."""
    beside = [each for each in item.servers if not each.nodes]
    options: list[str] = []
    if server.gpus and server in beside:
        after = sum(each.gpus for each in beside[beside.index(server) + 1 :])
        options = [f"--gpus=-{after + server.gpus}:{f'-{after}' if after else ''}"]
    return on_nodes([sys.executable, "-m", _NODE, *options, "--", *command] if options else command, nodes)


def on_nodes(command: list[str], nodes: tuple[str, ...]) -> list[str]:
    """Return a command that runs another once on each of some nodes of this allocation; where there are none, here."""
    if not nodes:
        return command
    srun = ["srun", f"--nodes={len(nodes)}", f"--ntasks={len(nodes)}", f"--nodelist={','.join(nodes)}"]
    # A stage has its servers beside it; a task has all cores of its node; one that fails ends the others.
    srun += ["--overlap", "--cpu-bind=none", "--kill-on-bad-exit=1", "--export=ALL"]
    cores = os.environ.get("SLURM_CPUS_ON_NODE")
    srun += [f"--cpus-per-task={cores}"] if cores else []
    return [*srun, sys.executable, "-I", SUPERVISOR, *command]


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
    return port


def trains(item: ResolvedStage) -> bool:
    """Whether a stage saves a checkpoint when it gets SIGTERM."""
    return kind_of(item.stage.kind).trains

"""
A real Slurm on this machine: one controller and two nodes on loopback, in a folder of its own, without systemd.

By hand: `python -m tests.slurm.cluster FOLDER COMMAND...` runs a command inside it.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path


PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
NODES = ("n1", "n2")

_CONF = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmctldDebug=debug2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=10
JobRequeue=1
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def why_not() -> str | None:
    """Return why this machine cannot run one; `None` where it can."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"there is no {', '.join(missing)} here (slurmctld slurmd slurm-client munge of Debian)"
    return None if os.geteuid() == 0 else "Slurm's daemons are started as root"


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """
    Start a cluster of two nodes, with one job at a time on each; yield the environment in which Slurm's programs find it.

    Args:
        folder (`Path`):
            An empty folder. Its path must be short: a socket is in it.
    """
    for name in ("state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    host, ports = socket.gethostname().partition(".")[0], _free_ports(1 + len(NODES))
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 State=UNKNOWN"
        for node, port in zip(NODES, ports[1:])
    )
    conf = folder / "slurm.conf"
    conf.write_text(_CONF.format(host=host, port=ports[0], folder=folder, nodes=nodes))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    files = {name: folder / f"munge.{name}" for name in ("socket", "pid", "log", "seed")}
    munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={files['socket']}"]
    munged += [f"--pid-file={files['pid']}", f"--log-file={files['log']}", f"--seed-file={files['seed']}"]
    commands = [munged, ["slurmctld", "-D", "-f", str(conf)]]
    commands += [["slurmd", "-D", "-N", node, "-f", str(conf)] for node in NODES]
    daemons = []
    try:
        for command in commands:
            with open(folder / "daemons.txt", "ab") as log:
                daemons.append(
                    subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
                )
            if command is munged:
                _wait(files["socket"].exists, folder)
        _wait(lambda: _idle(environment) == len(NODES), folder)
        yield environment
    finally:
        subprocess.run(["scancel", "--user=root"], env=environment, capture_output=True, timeout=60)
        with contextlib.suppress(AssertionError):
            _wait(lambda: not squeue(environment), folder, 30)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()
            daemon.wait()


def squeue(environment: dict[str, str]) -> list[str]:
    """Return the lines of `squeue`: number, name and state of each job."""
    return _ask(environment, "squeue", "--noheader", "--format=%i %j %T").splitlines()


def _idle(environment: dict[str, str]) -> int:
    return sum(int(line or 0) for line in _ask(environment, "sinfo", "-h", "-t", "idle", "-o", "%D").split())


def _ask(environment: dict[str, str], *command: str) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait(condition, folder: Path, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, (folder / "daemons.txt").read_text()[-4000:]
        time.sleep(0.1)


if __name__ == "__main__":
    with cluster(Path(sys.argv[1])) as found:
        sys.exit(subprocess.call(sys.argv[2:], env=found))

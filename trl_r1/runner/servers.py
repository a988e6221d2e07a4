"""
The servers beside a stage: started before it, waited for, watched, started again when they die, ended with it.

Each has a supervisor of its own, as the stage has, so that none outlives the runner. It listens at a port that the runner has
found free, at the same one when it is started again; the stage is told by environment variables (`model_server/named.py`).
What a server says is in `STAGE/servers/NAME.txt`.
"""

import contextlib
import os
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..io import last_lines
from ..model_server import variable_of
from ..recipe import ModelServer, ResolvedStage, shown
from ..recipe.records import now
from ..recipe.references import RUN
from .place import Place, free_port, server_command
from .supervisor import KILL, TERMINATE


# How often a server is started again in one attempt of a stage.
RESTARTS = 3
_ASK_SECONDS = 1.0
_END_SECONDS = 10.0


@dataclass
class Beside:
    """
    One server of one stage.

    Args:
        server ([`~recipe.ModelServer`]):
            As the recipe has it.
        command (`list[str]`):
            What starts it.
        address (`str`):
            Where it listens: `http://host:port`.
        log (`Path`):
            What it says.
        environment (`dict[str, str]`):
            What it finds in its environment.
        restarts (`int`):
            How often it may still be started again.
    """

    server: ModelServer
    command: list[str]
    address: str
    log: Path
    environment: dict[str, str]
    restarts: int
    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    ready: bool = False
    asked: float = 0.0

    def start(self) -> None:
        self.log.parent.mkdir(exist_ok=True)
        with open(self.log, "ab") as log:
            log.write(f"=== {now()} {shlex.join(self.command)}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                [sys.executable, "-I", str(Path(__file__).with_name("supervisor.py")), *self.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                bufsize=0,
                start_new_session=True,
            )
        self.since, self.ready = time.monotonic(), False

    def answers(self) -> bool:
        """Ask, at most once a second, whether it can be used."""
        if time.monotonic() - self.asked < _ASK_SECONDS:
            return False
        self.asked = time.monotonic()
        url = self.server.ready
        url = f"{self.address}{url}" if url.startswith("/") else url.replace("{port}", self.address.rpartition(":")[2])
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not know this machine
        try:
            with opener.open(url, timeout=_ASK_SECONDS) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError):  # `URLError` is an `OSError`
            return False

    def ask(self, letter: bytes) -> None:
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                os.write(self.process.stdin.fileno(), letter)


@dataclass
class Servers:
    """
    The servers of one stage.

    Args:
        several (`list[Beside]`):
            Each of them.
        say (`Callable`):
            Where to say what becomes of them.
        stage (`str`):
            Name of the stage.
    """

    several: list[Beside]
    say: Callable[[str], None]
    stage: str
    trouble: str = field(default="", init=False)
    lost: Beside | None = field(default=None, init=False)

    @property
    def environment(self) -> dict[str, str]:
        """Where the stage finds them."""
        # A proxy would be asked for addresses of this machine and its neighbours.
        own = {variable_of(each.server.name): each.address for each in self.several}
        hosts = {each.address.rpartition(":")[0].rpartition("/")[2] for each in self.several}
        known = [os.environ[name] for name in ("NO_PROXY", "no_proxy") if os.environ.get(name)][:1]
        no_proxy = ",".join([*known, *sorted(hosts)])
        return {**own, "NO_PROXY": no_proxy, "no_proxy": no_proxy} if own else {}

    def start(self) -> None:
        for each in self.several:
            each.start()
            self.say(f"{self.stage}: server {each.server.name} started; log: {shown(each.log)}")

    def poll(self) -> bool:
        """
        See to the servers.

        Returns:
            `bool`: whether all answer. Where one is lost for good, `trouble` says so.
        """
        for each in self.several:
            assert each.process is not None
            self.lost = each
            code = each.process.poll()
            if code is not None:
                how = f"server {each.server.name} ended with code {code}"
                if not each.ready and not each.restarts < RESTARTS:
                    self.trouble = f"its {how} before it was ready; log: {shown(each.log)}"  # its command is wrong
                    return False
                if each.restarts <= 0:
                    self.trouble = f"its {how}, once more than it is started again; log: {shown(each.log)}"
                    return False
                each.restarts -= 1
                self.say(f"{self.stage}: {how}, started again ({each.restarts} times left)")
                each.start()
            elif not each.ready:
                each.ready = each.answers()
                if each.ready:
                    took = time.monotonic() - each.since
                    self.say(f"{self.stage}: server {each.server.name} answers after {took:.0f} s")
                elif time.monotonic() - each.since > each.server.timeout:
                    self.trouble = (
                        f"its server {each.server.name} did not answer at {each.server.ready} within "
                        f"{each.server.timeout:g} s (`timeout`); log: {shown(each.log)}"
                    )
                    return False
        self.lost = None
        return all(each.ready for each in self.several)

    def tail(self, lines: int = 20) -> list[str]:
        """Return the last lines of the server that is lost; none where all are well."""
        if self.lost is None or not self.trouble:
            return []
        return last_lines(self.lost.log, lines)

    def end(self) -> None:
        """End all of them, with all their processes."""
        for each in self.several:
            each.ask(TERMINATE)
        until = time.monotonic() + _END_SECONDS
        for letter in (b"", KILL):
            for each in self.several:
                if letter:
                    each.ask(letter)
                if each.process is not None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        each.process.wait(max(0.0, until - time.monotonic()) if not letter else _END_SECONDS)
                    if letter and each.process.stdin is not None:
                        with contextlib.suppress(OSError):
                            each.process.stdin.close()


def make_servers(
    item: ResolvedStage,
    run_dir: Path,
    folder: Path,
    place: Place,
    environment: dict[str, str],
    say: Callable[[str], None],
) -> Servers:
    """
    Return the servers of a stage, none of them started.

    Args:
        item ([`~recipe.ResolvedStage`]):
            The stage.
        run_dir (`Path`):
            The run, in which the model that one serves may be.
        folder (`Path`):
            The stage's folder.
        place ([`~runner.place.Place`]):
            Where it runs.
        environment (`dict[str, str]`):
            The stage's.
        say (`Callable`):
            Where to say what becomes of them.
    """
    _, nodes = place.divided(item)
    several = []
    for server in item.servers:
        host, port = place.host_of(nodes[server.name]), free_port()
        text = server.command or vllm_command(server, str(run_dir))
        command = shlex.split(text.replace("{port}", str(port)).replace("{host}", host))
        several.append(
            Beside(
                server,
                server_command(server, item, command, nodes[server.name]),
                f"http://{host}:{port}",
                folder / "servers" / f"{server.name}.txt",
                environment,
                # TRL has sent the policy's weights to its server, which a new one would not have.
                0 if item.config.get("vllm_server_base_url") == f"server:{server.name}" else RESTARTS,
            )
        )
    return Servers(several, say, item.name)


def vllm_command(server: ModelServer, run_dir: str) -> str:
    """Return the command line of `vllm serve` for a server that names a model alone."""
    assert server.vllm is not None
    model = server.vllm.replace(RUN, run_dir)
    options = ["--tensor-parallel-size", str(server.gpus)] if server.gpus > 1 else []
    # The name by which it is asked for is the server's as well: the path of a stage's model is not known beforehand.
    served = ["--served-model-name", model, server.name]
    return shlex.join(["vllm", "serve", model, "--host", "{host}", "--port", "{port}", *served, *options])

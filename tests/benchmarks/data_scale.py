"""
Selection and output at the size of R1's data: time and memory for up to a million traces, made on the spot.

    python -m tests.benchmarks.data_scale [--traces 100000 300000 1000000] [--processes 2] [--folder DIR]

Traces of 2 KB (`made_traces.py`) go through all rules with language counted, near duplicates, decontamination and targets,
and what is kept is written as a data set. Rewards are in the traces: judging answers is not part of this. For each
size, in a process of its own, the resident memory of it and of its workers is read twice a second, and the highest
sum is kept (what processes share counts in each). Then a fresh process reads the first row of the output.

It shows the peak; the bytes for each trace that a larger size adds; traces per second of the rules, and of everything; how
many times the CPU time of a trace at the smallest size one takes at the largest; seconds and memory to the first row. The last line
says whether each is within its bound: 2 GiB, 1 KB a trace, 800 traces/s, 1.25, 2 s and 300 MB. The traces are made
before the clock starts.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from trl_r1.builders.dataset import DataSetWriter
from trl_r1.builders.outputs import SFT_COLUMNS, schema_of, sft_row
from trl_r1.selection import HeldOut, Rules, select_shards

from .made_traces import SAMPLES, evaluation, write_shards


SEED = 0
RULES = Rules(
    near_duplicates=0.8,
    max_per_prompt=6,
    max_pass_rate=0.99,
    targets=[{"by": ["domain", "language"], "tokens": 10**11}, {"domain": "stem", "completions": 10**8}],
)
BOUNDS = {"peak": 2 << 30, "bytes per trace": 1024, "rules per second": 800, "times longer": 1.25}
FIRST_ROW_BOUNDS = {"seconds": 2.0, "bytes": 300e6}


def select_and_write(folder: Path, traces: int, processes: int) -> dict[str, Any]:
    """Select from the shards of a folder and write what is kept; return times and counts."""
    shards = sorted((folder / "traces").glob("*.parquet"))
    held_out = HeldOut({"exam": evaluation(SEED, traces // SAMPLES)})
    marks = {"start": time.perf_counter()}

    def on_progress(done: int, total: int) -> None:
        if done == total:
            marks["rules"] = time.perf_counter()

    selection = select_shards(
        shards, RULES, held_out, folder=folder / "selection", workers=processes, on_progress=on_progress
    )
    marks["decided"] = time.perf_counter()
    write(selection, folder / "data")
    marks["written"] = time.perf_counter()
    # Of this process and of its workers, which have ended: what another program takes from the machine is not in it.
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(each.ru_utime + each.ru_stime for each in used)
    times = {name: marks[name] - marks[before] for before, name in zip(marks, list(marks)[1:])}
    return {"seconds": times, "cpu": cpu, "report": selection.report}


def write(selection: Any, folder: Path) -> None:
    """Write the kept traces as rows."""
    with DataSetWriter(folder / "train.parquet", schema_of(SFT_COLUMNS)) as writer:
        for trace in selection.kept():
            writer.add(sft_row(trace))


READ = """
import sys, pathlib, pyarrow.parquet as pq
path = sorted(pathlib.Path(sys.argv[1]).glob("*.parquet"))[0]
print(len(next(pq.ParquetFile(path).iter_batches(batch_size=1)).to_pylist()[0]["completion"]))
"""


def watched(command: list[str]) -> tuple[str, float, int]:
    """Run a program; return its output, its seconds, and the peak of what it and its children had resident together."""
    start = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    peak = 0
    while process.poll() is None:
        resident = 0
        for each in [process, *_children(process)]:
            try:
                resident += each.memory_info().rss
            except psutil.Error:
                continue
        peak = max(peak, resident)
        time.sleep(0.05 if time.perf_counter() - start < 5 else 0.5)  # a look at all processes takes a core 20 ms
    output = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return output, time.perf_counter() - start, peak


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def measure(folder: Path, traces: int, processes: int) -> dict[str, Any]:
    """Make traces, select from them in a process of its own, and read the first row in another."""
    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    write_shards(folder / "traces", traces, SEED, processes)
    print(f"{traces} traces made in {time.perf_counter() - start:.0f} s", flush=True)
    command = [sys.executable, "-m", "tests.benchmarks.data_scale", "--select", str(folder), "--traces", str(traces)]
    output, _, peak = watched([*command, "--processes", str(processes)])
    found = json.loads(output.splitlines()[-1])
    _, seconds, resident = watched([sys.executable, "-c", READ, str(folder / "data")])
    shutil.rmtree(folder)
    return {**found, "traces": traces, "peak": peak, "first row": {"seconds": seconds, "bytes": resident}}


def show(found: dict[str, Any]) -> None:
    seconds, report, n = found["seconds"], found["report"], found["traces"]
    print(
        f"{n:>8} traces: peak {found['peak'] / 2**20:.0f} MiB; rules {n / seconds['rules']:.0f}/s, decided in "
        f"{seconds['decided']:.1f} s, written in {seconds['written']:.0f} s, all {n / sum(seconds.values()):.0f}/s, "
        f"{1000 * found['cpu'] / n:.2f} ms of one core each; first row "
        f"{found['first row']['seconds']:.2f} s, {found['first row']['bytes'] / 1e6:.0f} MB"
    )
    print(
        f"         kept {report['kept']}, rejected {report['rejected']}; near duplicates {report['near_duplicates']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the traces go; by default a temporary folder")
    parser.add_argument("--select", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.select:
        print(json.dumps(select_and_write(options.select, options.traces[0], options.processes)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        results = []
        for traces in sorted(options.traces):
            results.append(measure(Path(folder) / str(traces), traces, options.processes))
            show(results[-1])
    small, large = results[0], results[-1]
    figures = {
        "peak": large["peak"],
        "rules per second": min(each["traces"] / each["seconds"]["rules"] for each in results),
    }
    if len(results) > 1:
        figures["bytes per trace"] = (large["peak"] - small["peak"]) / (large["traces"] - small["traces"])
        per_trace = [each["cpu"] / each["traces"] for each in (small, large)]
        figures["times longer"] = per_trace[1] / per_trace[0]
    within = {
        name: value >= BOUNDS[name] if name == "rules per second" else value <= BOUNDS[name]
        for name, value in figures.items()
    }
    first = {name: max(each["first row"][name] for each in results) for name in FIRST_ROW_BOUNDS}
    within |= {f"first row, {name}": value <= FIRST_ROW_BOUNDS[name] for name, value in first.items()}
    print(", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    print("; ".join(f"{name}: {'yes' if right else 'NO'}" for name, right in within.items()))


if __name__ == "__main__":
    main()

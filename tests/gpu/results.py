"""What a part of the GPU command measures: written to `results.json` row by row, and as tables to `results.md`."""

import time
from pathlib import Path
from typing import Any

from trl_r1.io import read_json, write_json, write_text


class Part:
    """
    One part, as it runs.

    Args:
        name (`str`):
            Its name.
        out (`Path`):
            Folder of the results.
        work (`Path`):
            Folder for what is not kept.
        device (`str`):
            `"cuda"` or `"cpu"`.
        tiny (`bool`):
            Whether everything is of toy size.
        seconds (`float`):
            What it may take.
    """

    def __init__(self, name: str, out: Path, work: Path, device: str, tiny: bool, seconds: float):
        self.name, self.out, self.work, self.device, self.tiny = name, out, work, device, tiny
        self.seconds, self.begun = seconds, time.monotonic()
        self.rows: list[dict[str, Any]] = []
        self.checks: list[dict[str, Any]] = []
        self.notes: dict[str, Any] = {}
        self.skipped: list[str] = []

    def seconds_used(self) -> float:
        """Return the seconds since the part began."""
        return time.monotonic() - self.begun

    def seconds_left(self) -> float:
        """Return the seconds that are left to the part."""
        return self.seconds - self.seconds_used()

    def has_time_for(self, what: str, seconds: float) -> bool:
        """Tell whether there is time for a measurement; where there is not, the results say that it is missing."""
        if seconds <= self.seconds_left():
            return True
        self.leave_out(what, f"it would take {seconds:.0f} s of the {max(0.0, self.seconds_left()):.0f} s left")
        return False

    def leave_out(self, what: str, reason: str) -> None:
        """Say that something was not measured, and why."""
        self.skipped.append(f"{what}: {reason}")
        self.save("running")

    def row(self, row: dict[str, Any]) -> None:
        """Keep one measurement."""
        self.rows.append(row)
        self.save("running")

    def note(self, **values: Any) -> None:
        """Keep what holds for the whole part."""
        self.notes |= {key: value for key, value in values.items() if value is not None}
        self.save("running")

    def check(self, name: str, value: float, *, at_most: float | None = None, at_least: float | None = None) -> None:
        """Keep a figure that has a bound."""
        held = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        bound = f"at most {at_most:g}" if at_most is not None else f"at least {at_least:g}"
        self.checks.append({"check": name, "value": value, "bound": bound, "held": held})
        self.save("running")

    def save(self, status: str, reason: str | None = None) -> None:
        """Write all parts, this one as far as it is."""
        found = {
            "status": status,
            "reason": reason,
            "seconds": round(self.seconds_used(), 1),
            "notes": self.notes,
            "checks": self.checks,
            "rows": self.rows,
            "left_out": self.skipped,
        }
        results = load(self.out)
        results["parts"][self.name] = {key: value for key, value in found.items() if value not in (None, [], {})}
        write(self.out, results)


def load(out: Path) -> dict[str, Any]:
    """Return the results so far."""
    return {"machine": {}, "parts": {}, **read_json(out / "results.json")}


def write(out: Path, results: dict[str, Any]) -> None:
    """Write the results, and the tables made of them."""
    write_json(out / "results.json", results)
    write_text(out / "results.md", tables(results))


def tables(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = ["# What `python -m tests.gpu` measured", ""]
    lines += [f"- {name}: {shown(value)}" for name, value in results["machine"].items()]
    return "\n".join(lines) + "\n" + "".join("\n" + section(name, part) for name, part in results["parts"].items())


def section(name: str, part: dict[str, Any]) -> str:
    """Return a part's results as Markdown."""
    lines = [f"## {name}: {part['status']}, {part['seconds']:.0f} s"]
    said = [part["reason"]] if "reason" in part else []
    said += [f"{key.replace('_', ' ')}: {shown(value)}" for key, value in part.get("notes", {}).items()]
    said += [f"not measured: {what}" for what in part.get("left_out", [])]
    lines += ["", *(f"- {each}" for each in said)] if said else []
    for rows in (part.get("checks", []), part.get("rows", [])):
        columns = list(dict.fromkeys(key for row in rows for key in row))
        if columns:
            lines += ["", "| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
            lines += ["| " + " | ".join(shown(row.get(column)) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def shown(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(each)}" for key, each in value.items())
    return str(value)

"""
What has been spent on a server, against a budget.

In a folder it is counted over all processes that share it and over their restarts, under a lock that the system gives
back when its holder is killed. A call is counted before it is made, so that a killed process has spent too much rather
than too little.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..io import read_json, whole_file


class Spending:
    """
    Calls and tokens spent.

    Args:
        file (`Path`, *optional*):
            Where they are counted. `None`: in this process alone.
        max_calls (`int`, *optional*):
            No further call is allowed once so many have been made.
        max_tokens (`int`, *optional*):
            No further call is allowed once so many tokens, of prompts and completions, have been paid for. What is under
            way then is still paid for.
    """

    def __init__(self, file: Path | None = None, max_calls: int | None = None, max_tokens: int | None = None):
        self.file = file
        declared = {"calls": max_calls, "tokens": max_tokens}
        self.limits = {name: limit for name, limit in declared.items() if limit is not None}
        self._spent = {"calls": 0, "tokens": 0}
        self._lock = threading.Lock()

    @property
    def calls(self) -> int:
        """Calls so far."""
        return self._read()["calls"]

    @property
    def tokens(self) -> int:
        """Tokens so far."""
        return self._read()["tokens"]

    def reserve(self) -> bool:
        """Count a call that is about to be made; `False` where the budget does not allow it."""
        if not self.limits:
            return True
        with self._locked() as spent:
            allowed = all(spent[name] < limit for name, limit in self.limits.items())
            spent["calls"] += allowed
            return allowed

    def settle(self, tokens: int | None) -> None:
        """Count the tokens of a reserved call; `None` takes back one that got no answer."""
        if not self.limits:
            return
        with self._locked() as spent:
            if tokens is None:
                spent["calls"] -= 1
            else:
                spent["tokens"] += tokens

    @contextmanager
    def _locked(self) -> Iterator[dict[str, int]]:
        with self._lock:
            if self.file is None:
                yield self._spent
                return
            from filelock import FileLock

            self.file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.file}.lock"):
                spent = self._read()
                yield spent
                with whole_file(self.file) as partial:
                    partial.write_text(json.dumps(spent), encoding="utf-8")

    def _read(self) -> dict[str, int]:
        if self.file is None:
            return self._spent
        kept = read_json(self.file)
        return {name: int(kept.get(name) or 0) for name in ("calls", "tokens")}

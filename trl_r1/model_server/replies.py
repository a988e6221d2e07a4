"""
Replies kept on disk by what was asked: asked again, the same question costs nothing.

One file for one request, whose name is the hash of the server's address and of the whole request. A file appears whole
or not at all, so that any number of processes and machines may share a folder and each may be killed at any moment.
"""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from ..io import read_json, whole_file


logger = logging.getLogger(__name__)


class Replies:
    """
    Replies of a server, kept in a folder.

    Args:
        folder (`str` or `os.PathLike`, *optional*):
            Where they are kept. `None`: nowhere.
    """

    def __init__(self, folder: str | os.PathLike[str] | None):
        self.folder = Path(folder) if folder is not None else None
        self._warned = False

    @staticmethod
    def address(*asked: Any) -> str:
        """Return the name of a reply: a hash of what was asked, whatever JSON can hold."""
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def get(self, address: str) -> str | None:
        """Return a reply; `None` where there is none that can be read."""
        if self.folder is None:
            return None
        reply = read_json(self._file(address)).get("reply")
        return reply if isinstance(reply, str) else None

    def put(self, address: str, reply: str) -> None:
        """Keep a reply. One that cannot be written is logged once, and costs another request."""
        if self.folder is None:
            return
        file = self._file(address)
        try:
            with whole_file(file) as partial:
                partial.write_text(json.dumps({"reply": reply}), encoding="utf-8")
        except OSError as error:
            if not self._warned:
                self._warned = True
                logger.warning("replies cannot be kept in %s: %s", self.folder, error)

    def _file(self, address: str) -> Path:
        assert self.folder is not None
        return self.folder / address[:2] / f"{address[2:]}.json"

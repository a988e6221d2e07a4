"""The module that a program runs in, and the records that it writes of what came of it."""

import builtins
import json
import os
import sys
import types


def new_module(name, names):
    """
    Return the namespace of a new module.

    Where it starts from the prelude it *is* the prelude's: this process ends with the test, and a copy would touch, and
    so make the kernel copy, the page of each of its names.
    """
    if names:
        names["__name__"], sys.modules[name] = name, sys.modules["prelude"]
        return names
    module = sys.modules[name] = types.ModuleType(name)
    module.__dict__["__builtins__"] = builtins
    return module.__dict__


def said(error):
    """Write an error in a line, whatever its class does."""
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except BaseException:
        return type(error).__name__


def write_line(fd, record):
    """Write a record as a line of JSON."""
    data = json.dumps(record).encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]

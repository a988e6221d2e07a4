"""
Servers beside a stage, by name: `server:judge` in the place of an address.

The runner starts the servers of a recipe (`servers:`) on free ports, and tells a stage where they are by an environment
variable for each. The name stays in the stage's config, in the notes beside its samples and in the keys of kept replies,
which therefore do not change with the port.
"""

import os
import re

from ..errors import ConfigError


NAMED = re.compile(r"server:([A-Za-z0-9][A-Za-z0-9_-]*)")


def variable_of(name: str) -> str:
    """Return the environment variable that holds a server's address: `TRL_R1_SERVER_JUDGE`."""
    return f"TRL_R1_SERVER_{name.upper().replace('-', '_')}"


def server_name(address: object) -> str | None:
    """Return the name in `server:NAME`, or `None` where it is no such text."""
    found = NAMED.fullmatch(address) if isinstance(address, str) else None
    return found[1] if found else None


def address_of(address: str, api: str = "/v1") -> str:
    """
    Return the address that a text stands for: that of a server where it is `server:NAME`, else the text itself.

    Args:
        address (`str`):
            `server:judge`, or an address such as `http://localhost:8000/v1`.
        api (`str`, *optional*, defaults to `"/v1"`):
            Where at a named server the API starts; TRL's client wants `""`.

    Raises:
        [`~errors.ConfigError`]: if the server was not started.
    """
    name = server_name(address)
    if name is None:
        return address
    variable = variable_of(name)
    if not os.environ.get(variable):
        raise ConfigError(
            f"{address}: expected its address in {variable} (http://host:port), which `trl-r1 run` sets for a stage of a "
            "recipe with `servers:`",
            key="base_url",
        )
    return os.environ[variable].rstrip("/") + api

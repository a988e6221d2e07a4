"""
Models at a server: a client of the OpenAI protocol, what it was answered, and what it has spent.

Sampling, judges and the refinement of the cold start ask by the same client. Importing this loads neither torch nor the
HTTP library.
"""

from .client import Choice, Connection, PromptRefused, Server, run_coroutine
from .named import address_of, server_name, variable_of
from .replies import Replies
from .spending import Spending


__all__ = [
    "Choice",
    "Connection",
    "PromptRefused",
    "Replies",
    "Server",
    "Spending",
    "address_of",
    "run_coroutine",
    "server_name",
    "variable_of",
]

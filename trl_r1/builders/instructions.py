"""
What the builders ask of models: the texts of `instructions.yaml`, and how they are filled in.
"""

import re
from pathlib import Path

import yaml


INSTRUCTIONS: dict[str, str] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def fill(text: str, **values: str) -> str:
    """Put values where a text has their names in braces, in one pass: a value may hold braces itself."""
    return re.sub(rf"\{{({'|'.join(values)})\}}", lambda match: values[match[1]], text)

"""
`python -m trl_r1.keys`: the keys of a kind of stage, and the schemas of all kinds. `trl-r1 keys` runs it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import TrlR1Error
from ..io import until_closed, write_text
from ..kinds import kind_of, known_kinds
from .page import explained, listed_keys
from .read import kinds_with_pages
from .schema import recipe_schema, stage_schema


def write_schemas(folder: str | Path) -> list[Path]:
    """Write `recipe.json` and a `KIND.json` for each kind that ships with the package; return their paths."""
    schemas = {"recipe": recipe_schema(), **{kind: stage_schema(kind) for kind in kinds_with_pages()}}
    paths = []
    for name, schema in schemas.items():
        paths.append(Path(folder) / f"{name}.json")
        write_text(paths[-1], json.dumps(schema, indent=1, ensure_ascii=False) + "\n")
    return paths


def main(argv: Sequence[str] | None = None) -> int:
    """Print keys, or write schemas; return the exit code."""
    parser = argparse.ArgumentParser(prog="trl-r1 keys", description=__doc__.strip().splitlines()[0])
    parser.add_argument("kind", nargs="?", help=f"one of {', '.join(known_kinds())}, or a module of your own")
    parser.add_argument("key", nargs="?", help="say all about this key")
    parser.add_argument("--schemas", type=Path, metavar="DIR", help="write JSON Schemas of all kinds and of recipes")
    arguments = parser.parse_args(argv)
    try:
        if arguments.schemas:
            for path in write_schemas(arguments.schemas):
                print(path)
        elif arguments.kind is None:
            print("\n".join(f"{kind:<12} {kind_of(kind).purpose}" for kind in known_kinds()))
        else:
            print(explained(arguments.kind, arguments.key) if arguments.key else listed_keys(arguments.kind))
    except TrlR1Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(until_closed(main))

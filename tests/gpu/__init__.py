"""One command that uses some minutes of a GPU well: see `python -m tests.gpu --help`."""

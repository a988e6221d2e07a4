"""
The keys of every kind of stage, read from its config classes: for `trl-r1 keys`, for the pages of the documentation, and
as JSON Schemas, by which an editor completes and checks a YAML file.
"""

from .read import Key, keys_of, kinds_with_pages
from .schema import recipe_schema, stage_schema


__all__ = ["Key", "keys_of", "kinds_with_pages", "recipe_schema", "stage_schema"]

"""
Recipes: the stages of a run, what each reads, and what their outputs depend on.

Nothing here imports torch: a recipe is read, resolved and fingerprinted in about a second.
"""

from .document import Document, read_document, shown
from .fingerprint import contents, fingerprints, package_versions
from .load import find_recipe, known_recipes, load_recipe, read_recipe, recipe_homes
from .optional import settle_needs
from .records import Artifact, ModelServer, Recipe, Stage
from .references import ResolvedStage, resolve


__all__ = [
    "Artifact",
    "Document",
    "ModelServer",
    "Recipe",
    "ResolvedStage",
    "Stage",
    "contents",
    "find_recipe",
    "fingerprints",
    "known_recipes",
    "load_recipe",
    "package_versions",
    "read_document",
    "read_recipe",
    "recipe_homes",
    "resolve",
    "settle_needs",
    "shown",
]

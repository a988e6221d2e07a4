"""What mkdocs calls for the site (`.mkdocs.yml`): pages from elsewhere, generated pages, links, and mathematics as MathML."""

import argparse
import html
import logging
import posixpath
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import trl_r1.rewards
from trl_r1.cli import make_parser
from trl_r1.data.source import DataSource
from trl_r1.keys import kinds_with_pages
from trl_r1.keys.page import classes_page, keys_page
from trl_r1.recipe.keys import RecipeKeys, ServerKeys, SlurmKeys, StageKeys
from trl_r1.rewards.schedule import RewardSpec
from trl_r1.selection import Rules


ROOT = Path(__file__).resolve().parents[1]
FROM_ELSEWHERE = {
    "README.md": "index.md",
    ".github/CONTRIBUTING.md": "contributing.md",
    "recipes/README.md": "shipped-recipes.md",
}
OF_A_RECIPE = {
    "The recipe": RecipeKeys,
    "A stage": StageKeys,
    "An entry of `data`": DataSource,
    "An entry of `rewards`": RewardSpec,
    "`rules` of a builder": Rules,
    "`slurm`": SlurmKeys,
    "An entry of `servers`": ServerKeys,
}
FENCES = re.compile(r"(^ *```.*?^ *```\s*$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[((?:[^][]|\[[^][]*\])*)\]\(([^)\s]+)\)")
CELL = re.compile(r"<td\b.*?</td>", re.DOTALL)
MATH = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)

log = logging.getLogger("mkdocs.hooks.pages")


def on_config(config: MkDocsConfig) -> None:
    """Name a page for each kind of stage in the navigation."""
    pages = [{kind: f"keys/{kind}.md"} for kind in kinds_with_pages()]
    (reference,) = (part["Reference"] for part in config.nav if "Reference" in part)
    (keys,) = (part for part in reference if "Keys" in part)
    keys["Keys"] = [{"recipe": "keys/recipe.md"}, *pages, {"rewards": "keys/rewards.md"}]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that no file in docs/ holds."""
    pages = {uri: (ROOT / path).read_text(encoding="utf-8") for path, uri in FROM_ELSEWHERE.items()}
    pages["commands.md"] = commands_page()
    pages |= {f"keys/{kind}.md": keys_page(kind) for kind in kinds_with_pages()}
    pages["keys/recipe.md"] = classes_page("Keys of a recipe", OF_A_RECIPE)
    exported = {name: getattr(trl_r1.rewards, name) for name in trl_r1.rewards.__all__ if name != "Scheduled"}
    rewards = {name: one for name, one in exported.items() if isinstance(one, type) and hasattr(one, "requires")}
    pages["keys/rewards.md"] = classes_page("Arguments of rewards", rewards)
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))


def commands_page() -> str:
    """Return a page with the help of every command of `trl-r1`."""
    parser = make_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    lines = ["# Commands", ""]
    for name, each in [("", parser), *commands.choices.items()]:
        lines += [f"## trl-r1 {name}".rstrip(), "", "```text", each.format_help().rstrip(), "```", ""]
    return "\n".join(lines)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead where the site, or the repository, has what they name."""
    parts = FENCES.split(markdown)
    parts[::2] = [LINK.sub(lambda link: _led(link, page.file.src_uri, config), part) for part in parts[::2]]
    return "".join(parts)


def _led(link: re.Match[str], uri: str, config: MkDocsConfig) -> str:
    text, (target, hash_mark, anchor) = link[1], link[2].partition("#")
    if not target or ":" in target:
        return link[0]
    source = next((path for path, page in FROM_ELSEWHERE.items() if page == uri), f"docs/{uri}")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if not (ROOT / path).exists():  # a page that is generated is on the site, and nowhere in the repository
        log.warning(f"{source}: there is no {path}, which `{text}` links to")
    page = FROM_ELSEWHERE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
    if page:
        return f"[{text}]({posixpath.relpath(page, posixpath.dirname(uri) or '.')}{hash_mark}{anchor})"
    if not config.repo_url:
        return text
    return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{path}{hash_mark}{anchor})"


def on_page_content(html_text: str, **_) -> str:
    """Turn formulas into MathML, which browsers draw without a script; a `\\|` of a table's code is a bar, as on GitHub."""

    def drawn(formula: re.Match[str]) -> str:
        display = "block" if formula[1] == "div" else "inline"
        return convert(html.unescape(formula[2]).strip(), display=display)

    return CELL.sub(lambda cell: cell[0].replace("\\|", "|"), MATH.sub(drawn, html_text))

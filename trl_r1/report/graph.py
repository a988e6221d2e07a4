"""
The lineage of a run as a picture: stages from left to right, each right of what it was made from.

Layered drawing, our own: Observable Plot and d3 draw trees, and here a stage has several parents. A stage's column is the
longest path to it; an edge that passes over columns gets a free slot in each of them; the order within a column is by the
mean of the neighbours' positions, swept a few times.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markupsafe import Markup

from ..lineage import RunRecord
from ..templates import templates


TEMPLATES = Path(__file__).parent / "templates"
NODE_WIDTH, NODE_HEIGHT, GAP_X, GAP_Y, MARGIN = 107, 40, 21, 16, 2
LETTERS = 15


@dataclass(frozen=True)
class Edge:
    source: str
    target: str
    carries: str  # "model", "samples", "data" or "reward"


# A stage or model by name, or an edge where it passes a column.
Node = str | tuple[Edge, int]


def edges_of(run: RunRecord) -> list[Edge]:
    """
    What was made from what. Left out: evaluations, which read every model, and data that came with the base model, which
    most stages read.
    """
    found: dict[tuple[str, str], Edge] = {}
    for stage in run.stages:
        if stage.makes == "metrics":
            continue
        taken = "samples" if stage.makes == "dataset" else "model"
        sources = [(run.base_model if s == "base_model" else s, taken) for s in stage.model_from]
        sources += [(s if run.stage(s) else s.split("/")[0], "data") for s in stage.data_from]
        sources += [(s, "reward") for s in stage.parents]
        for source, carries in sources:
            made_by = run.stage(source)
            if made_by is None and (carries not in ("model", "samples") or not source):
                continue
            if carries == "data" and source == run.base_model:
                continue
            if carries == "reward" and made_by is not None and not made_by.makes_reward_model:
                continue
            found.setdefault((source, stage.name), Edge(source, stage.name, carries))
    return list(found.values())


def lineage_svg(run: RunRecord) -> Markup:
    """Return the picture, empty for a run without edges."""
    edges = edges_of(run)
    if not edges:
        return Markup("")
    order = {stage.name: index for index, stage in enumerate(run.stages)}
    names = sorted(dict.fromkeys(n for e in edges for n in (e.source, e.target)), key=lambda name: order.get(name, -1))
    column = _columns(names, edges)
    chains = {edge: _chain(edge, column) for edge in edges}
    rows = _rows(names, column, chains)
    across, down = NODE_WIDTH + GAP_X, NODE_HEIGHT + GAP_Y
    height = max(len(row) for row in rows) * down - GAP_Y + 2 * MARGIN
    place: dict[Node, tuple[float, float]] = {
        node: (MARGIN + index * across, (height + GAP_Y - len(row) * down) / 2 + position * down)
        for index, row in enumerate(rows)
        for position, node in enumerate(row)
    }
    drawn = (
        templates(TEMPLATES, html=True)
        .get_template("graph.svg.jinja")
        .render(
            run=run,
            names=names,
            place=place,
            paths={edge: _path(chain, place) for edge, chain in chains.items()},
            size=(len(rows) * across - GAP_X + 2 * MARGIN, height),
            node_size=(NODE_WIDTH, NODE_HEIGHT, LETTERS),
        )
    )
    return Markup(drawn)


def _columns(names: list[str], edges: list[Edge]) -> dict[str, int]:
    column = dict.fromkeys(names, 0)
    for _ in names:  # a cycle, which no recipe has, ends here as well
        for edge in edges:
            column[edge.target] = min(max(column[edge.target], column[edge.source] + 1), len(names))
    used = {old: new for new, old in enumerate(sorted(set(column.values())))}
    return {name: used[index] for name, index in column.items()}


def _chain(edge: Edge, column: dict[str, int]) -> list[Node]:
    between = range(column[edge.source] + 1, column[edge.target])
    return [edge.source, *((edge, index) for index in between), edge.target]


def _rows(names: list[str], column: dict[str, int], chains: dict[Edge, list[Node]]) -> list[list[Node]]:
    rows: list[list[Node]] = [[] for _ in range(max(column.values()) + 1)]
    for name in names:
        rows[column[name]].append(name)
    neighbours: dict[Node, list[Node]] = {}
    for chain in chains.values():
        for node in chain:
            if isinstance(node, tuple):
                rows[node[1]].append(node)
        for left, right in pairwise(chain):
            neighbours.setdefault(left, []).append(right)
            neighbours.setdefault(right, []).append(left)
    for sweep in range(8):
        middle = {node: index - (len(row) - 1) / 2 for row in rows for index, node in enumerate(row)}
        for row in rows if sweep % 2 == 0 else reversed(rows):
            weight = {n: sum(middle[m] for m in neighbours[n]) / len(neighbours[n]) for n in row}
            row.sort(key=lambda n: weight[n])
            middle.update({node: index - (len(row) - 1) / 2 for index, node in enumerate(row)})
    return rows


def _path(chain: list[Node], place: dict[Node, tuple[float, float]]) -> str:
    half = NODE_HEIGHT / 2
    x, y = place[chain[0]]
    path = f"M{x + NODE_WIDTH} {y + half:g}"
    for node in chain[1:]:
        passed = node != chain[-1]
        from_x, from_y, (x, y) = x + NODE_WIDTH, y, place[node]
        end = x if passed else x - 1
        middle = (from_x + end) / 2
        path += f"C{middle:g} {from_y + half:g} {middle:g} {y + half:g} {end} {y + half:g}"
        path += f"H{x + NODE_WIDTH}" if passed else ""
    return path

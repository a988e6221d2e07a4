import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.run_dirs import ACCURACY, STAGES, add_general_scores, make_run
from trl_r1.errors import ConfigError
from trl_r1.report import write_report
from trl_r1.trace import Trace, write_traces


VOID = {"meta", "line", "path", "rect", "circle", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Keeps the text and the elements of a page, and whether every element is closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text, self.attributes = [], [], [], []
        self.feed(html)
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page_of(run):
    html = write_report(run).read_text(encoding="utf-8")
    return html, Page(html)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("report") / "run", steps=40)


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def test_a_finished_run_has_everything_on_one_page(finished):
    html, page = page_of(finished)
    text = " ".join(" ".join(page.text).split())
    for name, *_ in STAGES:
        assert name in text
    for fact in (
        "0.968 ± 0.005",
        "pass@4",
        "general win rate",
        "Kept 1,200 of 2,000 samples.",
        "duplicate 204 10.2 %",
        "what is A11+B7?",
        "✓ right",
        "15 min 35 s in its stages",
        "11 of 11 stages finished",
        "trl-r1 run playground --output-dir",
        "PreferenceModel",
        "Hard for a model: its own pass@1 on the prompt is below 0.5.",
        "scores playground/held-out: 240 prompts, 960 samples",
    ):
        assert fact in text, fact
    training = re.search(r'<section id="training">(.*?)</section>', html, re.S)[1]
    headings = [re.sub("<[^>]*>", "", heading) for heading in re.findall("<h3>(.*?)</h3>", training)]
    trained = [f"{name} {kind}" for name, kind, *_ in STAGES if kind in ("grpo", "sft", "reward")]
    assert headings == trained, "every stage that trains, in the order of the recipe"
    assert page.tags.count("figure") >= 3 * 8
    assert "not run" not in text.lower()


def test_the_page_needs_no_network(finished):
    html, page = page_of(finished)
    assert not {"link", "img", "iframe", "object"} & set(page.tags)
    assert page.tags.count("script") == 3, "the data, the libraries, and what draws"
    known = "|".join(map(re.escape, ("http://www.w3.org/", "https://d3js.org v")))
    assert not re.search(r"@import|https?://", re.sub(known, "", html))
    assert not [value for name, value in page.attributes if name.startswith("on") or name == "src"]


def test_the_best_value_of_a_column_is_marked_and_a_missing_one_is_a_dash(finished):
    html, _ = page_of(finished)
    row = {name: re.search(rf'<th scope="row">{name}</th>(.*?)</tr>', html, re.S)[1] for name in ACCURACY}
    assert re.search(r'<td class="number best"[^>]*>\s*0\.968', row["r1"])
    assert "best" not in row["base"]
    assert '<td class="number none">—</td>' in row["r1-zero"], "its win rate is NaN"
    lowest = re.search(r'<td class="number best"[^>]*>0\.008</td>', row["r1"])
    assert lowest, "of mixed language the lowest is the best"


def test_two_evaluations_of_the_same_models_have_a_table_each(run):
    add_general_scores(run)
    html, page = page_of(run)
    text = " ".join(" ".join(page.text).split())
    section = re.search(r'<section id="scores">(.*?)</section>', html, re.S)[1]
    _, first, second = section.split("<h3>")
    assert first.startswith("scores <")
    assert second.startswith("general-scores <")
    assert "scores playground/held-out: 240 prompts, 960 samples" in text
    assert "general-scores playground/general: 120 prompts, 480 samples" in text

    def cells(part, model):
        table = part.split("</table>")[0]
        heads = [" ".join(re.sub("<[^>]*>|&nbsp;", " ", h).split()) for h in re.findall(r"<th .*?</th>", table)]
        row = re.search(rf'<th scope="row">{model}</th>(.*?)</tr>', table, re.S)[1]
        values = re.findall(r"<td[^>]*>([^<]*)", row)
        return dict(zip(heads[1 : len(values) + 1], map(str.strip, values)))

    assert cells(first, "base")["pass@1"] == "0.270", "the second evaluation does not hide the first"
    assert (cells(first, "r1")["format"], cells(first, "r1")["general win rate"]) == ("0.994", "0.440")
    assert cells(second, "r1") == {"format": "0.938", "general win rate": "0.750"}, "no column without a number"
    assert 'scope="row">r1-zero' not in second
    assert first.count("pass@1 by domain</h4>") == first.count("Where a model is unsure</h4>") == 1
    assert "by domain" not in second


def test_a_tile_is_of_the_first_evaluation_that_measured_both_models(run):
    add_general_scores(run)
    metrics = json.loads((run / "scores" / "metrics.json").read_text())
    del metrics["models"]["base"]["general_win_rate"]
    (run / "scores" / "metrics.json").write_text(json.dumps(metrics))
    tiles = re.search(r'<ul class="tiles">(.*?)</ul>', page_of(run)[0], re.S)[1]
    found = [" ".join(re.sub("<[^>]*>", " ", tile).split()) for tile in re.findall("<li>(.*?)</li>", tiles, re.S)]
    assert "pass@1 0.27 → 0.97 base → r1, scores" in found
    assert "format 0.11 → 0.99 base → r1, scores" in found
    assert "general win rate 0.12 → 0.75 base → r1, general-scores" in found
    assert len(found) == 5


def test_what_a_model_wrote_is_text_and_nothing_else(run):
    nasty = (
        "<script>alert(1)</script></think><img src=x onerror=alert(2)>\"'&amp; </span></div></style><think>{{ 7*7 }}"
    )
    shutil.rmtree(run / "scores" / "traces")
    trace = Trace("p1", nasty, nasty, nasty, nasty, "en", {nasty: 1.0}, "base", n_tokens=3)
    write_traces(run / "scores" / "traces" / "base-00000.parquet", [trace])
    metrics = json.loads((run / "scores" / "metrics.json").read_text())
    metrics["models"]["<b>bold</b>"] = {"pass@1": 0.5, "pass@<i>": 1.0, "by_domain": {"<u>a</u>": 0.1, "b": 0.2}}
    (run / "scores" / "metrics.json").write_text(json.dumps(metrics))
    (run / "cold-start" / "selection.json").write_text(
        json.dumps({"seen": 2, "kept": 1, "rejected": {"<s>why</s>": 1}})
    )
    state = json.loads((run / "dev2" / "trainer_state.json").read_text())
    state["log_history"][0]["solve_rate/</svg><script>"] = 0.5
    (run / "dev2" / "trainer_state.json").write_text(json.dumps(state))
    _, page = page_of(run)
    assert not {"img", "u", "s"} & set(page.tags)
    assert page.tags.count("script") == 3
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    shown = "".join(page.text)
    for piece in ("<script>alert(1)</script>", "</think>", "<img src=x onerror=alert(2)>", "{{ 7*7 }}", "<b>bold</b>"):
        assert piece in shown, piece


def test_a_run_that_has_only_begun_says_what_has_not_run(run):
    for name, *_ in STAGES[2:]:
        shutil.rmtree(run / name)
    (run / "r1-zero" / "artifact.json").unlink()
    (run / "r1-zero" / "trainer_state.json").rename(run / "r1-zero" / "checkpoint-10" / "trainer_state.json")
    _, page = page_of(run)
    text = " ".join(" ".join(page.text).split())
    assert "1 of 11 stages finished" in text
    assert "no evaluation has written its metrics" in text
    assert "Not run: cold-start, reasoning-data, general-data." in text
    assert "no evaluation has kept its samples" in text
    assert page.tags.count("figure") >= 8, "the curves up to the last checkpoint"
    assert text.count("Not run.") >= 4


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"null", b'{"models": 3, "log_history": {}, "kept": "x"}']
)
def test_files_that_are_cut_or_hold_nonsense_do_not_stop_the_report(run, content):
    for file in [*run.rglob("*.json"), *run.rglob("*.yaml")]:
        file.write_bytes(content)
    for shard in (run / "scores" / "traces").glob("*.parquet"):
        shard.write_bytes(content)
    page_of(run)


def test_an_empty_directory_gives_a_page_and_no_directory_an_error(tmp_path):
    _, page = page_of(tmp_path)
    assert "there is neither a recipe nor a stage here" in "".join(page.text)
    with pytest.raises(ConfigError, match="expected the directory of a run"):
        write_report(tmp_path / "nowhere")


def test_the_same_run_gives_the_same_page(run):
    first, _ = page_of(run)
    assert page_of(run)[0] == first
    assert not list(run.glob(".*tmp")), "nothing is left over"


def test_the_report_imports_no_torch():
    program = (
        "import sys, trl_r1.report.page, trl_r1.report.answers; "
        "print(sorted({'torch', 'transformers', 'datasets', 'trl', 'pyarrow', 'numpy'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

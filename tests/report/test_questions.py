"""What a stranger asks about a run, answered from its page alone."""

import re
from html.parser import HTMLParser

import pytest

from tests.report.told_run import DOUBLED, fail, hack, make_told_run
from trl_r1.report import write_report


class _Page(HTMLParser):
    """The page's texts, those of each table row as cells, and which cells are marked as best."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.captions, self.best, self.text = [], [], set(), []
        self.skipped, self.cell = 0, None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.skipped += tag in ("script", "style")
        if tag == "caption":
            self.captions.append("")
        if tag == "tr":
            self.rows.append((self.captions[-1] if self.captions else "", []))
        if tag in ("td", "th"):
            self.rows[-1][1].append("")
            self.cell = "best" in attributes.get("class", "").split()
        if tag in ("p", "li", "h2", "h3", "h4", "pre", "summary", "section", "dt", "dd"):
            self.text.append("\n")

    def handle_endtag(self, tag):
        self.skipped -= tag in ("script", "style")
        if tag in ("td", "th"):
            if self.cell:
                caption, cells = self.rows[-1]
                head = next(row for c, row in self.rows if c == caption)
                self.best.add((caption, cells[0].strip(), head[len(cells) - 1].strip()))
            self.cell = None

    def handle_data(self, data):
        if self.skipped:
            return
        self.text.append(data)
        if self.cell is not None:
            self.rows[-1][1][-1] += data
        elif self.captions and self.captions[-1] == "" and data.strip():
            self.captions[-1] = data

    @property
    def plain(self):
        return re.sub(r"[ \t]+", " ", "".join(self.text))

    def table(self, caption):
        """The rows of a table as dictionaries, by its caption."""
        head, *rows = [[" ".join(cell.split()) for cell in cells] for c, cells in self.rows if c == caption]
        return [dict(zip(head, row)) for row in rows]

    def of_stage(self, name):
        """What stands under a stage's heading in the story."""
        story = self.plain.split("What happened, stage by stage")[1].split("Evaluation")[0]
        return re.search(
            rf"\n{name} .*?(?=\n[\w-]+ (?:grpo|sft|evaluate|reward|cold_start|rejection|general)\b|\Z)", story, re.S
        )[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_told_run(tmp_path_factory.mktemp("told") / "run")


@pytest.fixture(scope="module")
def page(run):
    return _Page(write_report(run).read_text(encoding="utf-8"))


def changed(tmp_path, change, *args):
    run = make_told_run(tmp_path / "run")
    change(run, *args)
    return _Page(write_report(run).read_text(encoding="utf-8"))


def test_which_stage_cost_most_time_and_how_much(page):
    costs = [row for row in page.table("Cost of each stage") if row["stage"] != "together"]
    dearest = max(costs, key=lambda row: float(row["share of time"].rstrip(" %")))
    assert (dearest["stage"], dearest["wall time"]) == ("scores", "2 min 30 s")


def test_how_many_tokens_were_sampled(page):
    (scores,) = [row for row in page.table("Cost of each stage") if row["stage"] == "scores"]
    assert int(scores["tokens"].replace(",", "")) == 6 * 6 * (20 + 21), "six models, six prompts, two samples"


def test_when_did_reflection_begin(page):
    step = int(re.search(r"Reflection had doubled, to stay so, at step (\d+)", page.plain)[1])
    assert abs(step - DOUBLED) <= 2
    assert re.search(r"right answers: \d % → 100 %", page.plain)
    assert re.search(r"answers with any reflection: \d+ % → 100 %", page.plain)


def test_how_did_it_answer_before_and_how_later(page):
    part = page.plain.split("The same prompt, early and late")[1].split("The first second thought")[0]
    assert (
        part.index("early ✗ wrong")
        < part.index("i guess B22")
        < part.index("late ✓ right")
        < part.index("try A9+2=11")
    )


def test_what_was_its_first_second_thought(page):
    part = page.plain.split("The first second thought that was right")[1]
    assert "try B10+2=12, wrong. retry I18+2=20, right." in part.split("step 3")[0]


def test_why_was_this_sample_rejected(page):
    assert re.search(r"先加 A1\+B2=3.*?rejected as language", page.plain, re.S)
    assert re.search(r"language\nIts thought mixes languages, or is in another than its prompt's\.", page.plain)
    assert page.plain.count("rejected as wrong") == 3, "a few of each reason"


def test_is_r1_better_than_dev2(page):
    rows = page.table("Difference of pass@1 between all other pairs of models, scores")
    (row,) = [row for row in rows if row["models"] == "dev2 → r1"]
    assert (row["difference"], row["p"]) == ("+0.015 ± 0.008", "0.2100")
    marked = {
        model
        for caption, model, column in page.best
        if (caption, column) == ("Scores of each model, scores", "pass@1")
    }
    assert marked == {"dev2", "r1"}, "what cannot be told apart from the best is marked as well"


def test_on_which_hardware_from_which_commit_and_seed_with_which_versions(page):
    setup = {cells[0]: cells[1] for caption, cells in page.rows if caption == "Machine, code and versions"}
    assert setup["processor"] == "Made-up 9000"
    assert setup["GPUs"] == "2 x H100, 80 GiB"
    assert (setup["seed"], setup["commit of trl_r1"]) == ("1", "0123456789ab")
    assert (setup["Python"], setup["trl"]) == ("3.11.7", "1.16.0")


def test_what_is_the_control_for_and_what_did_it_do(page):
    told = page.of_stage("language-control")
    assert "The control of R1-Zero: the same training with a reward for one language." in told
    assert "It starts from the same model and data as r1-zero, and shares its charts." in told
    assert "\nr1-zero, language-control grpo" in page.plain, "one heading over charts with both"


def test_what_is_a_stage_for_and_what_became_of_the_figures(page):
    told = page.of_stage("dev1")
    assert "A cold start for RL." in told
    assert re.search(r"right answers 27 % → 84\.2 %", told)
    assert "Many answers to each question" in page.of_stage("reasoning-data"), (
        "where the recipe says nothing, its kind"
    )
    assert "samples kept 1,200 of 2,000" in page.of_stage("reasoning-data")


def test_did_the_preference_reward_get_hacked(page, tmp_path):
    assert "no sign of hacking" in page.plain
    hacked = changed(tmp_path, hack)
    assert re.search(
        r"Reward hacking in r1: since step \d+ the reward PreferenceModel rose \(0\.\d+ → 0\.8\d\)", hacked.plain
    )


def test_where_did_it_fail_and_with_which_last_words(page, tmp_path):
    assert "failed" not in page.plain
    failed = changed(tmp_path, fail, "preference")
    told = failed.plain.split("Stage preference failed")[1]
    assert "RuntimeError: CUDA out of memory. Tried to allocate 2 GiB" in told.split("What happened")[0]


def test_how_does_it_do_with_less_thought_and_without_its_words(page):
    (row,) = [cells for caption, cells in page.rows if caption == "Emergence, scores"]
    assert [cell.strip() for cell in row] == ["forbidden r1-zero", "0.230"]
    assert "Emergence budget" in page.plain

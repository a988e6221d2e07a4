"""Known exploits do not pay with our rewards, and are noticed where they pay."""

import json
import os
import subprocess
import sys

import pytest
import trl.rewards

from tests.audit import weak_rewards
from trl_r1.audit import audit_reward, load_battery
from trl_r1.audit.__main__ import main as battery_main
from trl_r1.cli import main
from trl_r1.errors import MachineError
from trl_r1.recipe import known_recipes, read_recipe
from trl_r1.rewards import (
    ChoiceAccuracy,
    CodeAccuracy,
    LanguageConsistency,
    MathAccuracy,
    PreferenceModel,
    ThinkFormat,
)
from trl_r1.rewards.schedule import declared_rewards


QUESTIONS, EXPLOITS, REWRITINGS = load_battery()


def paying(reward, template="chat"):
    return {outcome.sample.id for outcome in audit_reward(reward, template).paying}


def test_the_battery_is_large_and_documented():
    assert len(EXPLOITS) >= 120
    assert len(REWRITINGS) >= 55
    everything = [*EXPLOITS, *REWRITINGS]
    assert len({one.id for one in everything}) == len(everything)
    assert all(len(exploit.what) > 15 and len(exploit.fools) > 5 for exploit in EXPLOITS)
    assert all(len(one.what) > 15 and len(one.refused_by) > 5 for one in REWRITINGS)
    assert {one.row for one in everything} == set(QUESTIONS)


@pytest.mark.parametrize(
    ("reward", "template", "least", "right"),
    [
        (MathAccuracy(), "chat", 65, 40),
        (MathAccuracy(), "r1_zero", 65, 40),
        (MathAccuracy(prefilled=True), "chat", 65, 40),
        (MathAccuracy(style="special_token"), "chat", 65, 40),
        (ChoiceAccuracy(), "chat", 10, 4),
        (ThinkFormat(), "chat", 17, 2),
        (ThinkFormat(style="r1_zero"), "r1_zero", 20, 2),
        (ThinkFormat(style="auto"), "r1_zero", 20, 2),
        (ThinkFormat(style="special_token"), "chat", 12, 2),
        (ThinkFormat(prefilled=True), "plain", 14, 2),
        (LanguageConsistency(), "chat", 11, 3),
        (LanguageConsistency(languages=("en", "zh")), "chat", 11, 3),
    ],
)
def test_with_our_rewards_none_pays_and_no_right_answer_is_refused(reward, template, least, right):
    audit = audit_reward(reward, template)
    assert [outcome.sample.id for outcome in audit.paying] == []
    assert [outcome.sample.id for outcome in audit.refused] == []
    assert len(audit.exploits) >= least
    assert len(audit.rewritings) >= right


@pytest.mark.parametrize("column", ["tests", "verification_info"])
def test_none_pays_with_the_reward_for_programs(column):
    reward = CodeAccuracy(column=column, cpu_seconds=1.0, wall_seconds=5.0)
    try:
        reward.check_machine()
    except MachineError as error:
        pytest.skip(f"programs cannot be run here: {error}")
    audit = audit_reward(reward)
    assert [outcome.sample.id for outcome in audit.paying] == []
    assert [outcome.sample.id for outcome in audit.refused] == []
    programs = {name for name, question in QUESTIONS.items() if "tests" in question.columns}
    assert len(audit.exploits) == sum(exploit.row in programs for exploit in EXPLOITS)
    assert len(audit.rewritings) == sum(one.row in programs for one in REWRITINGS)


@pytest.mark.parametrize("name", ["accuracy_reward", "think_format_reward"])
def test_what_is_said_of_trl_is_so(name):
    audit = audit_reward(getattr(trl.rewards, name))
    said = {exploit.id for exploit in EXPLOITS if f"TRL's {name}" in exploit.fools}
    assert said
    assert said <= {outcome.sample.id for outcome in audit.paying}
    said = {one.id for one in REWRITINGS if f"TRL's {name}" in one.refused_by}
    assert said == {outcome.sample.id for outcome in audit.refused}


@pytest.mark.parametrize(
    ("reward", "exploit"),
    [
        (weak_rewards.last_number, "every number in the answer"),
        (weak_rewards.last_number, "chain of equations"),
        (weak_rewards.substring, "gold as a part of another number"),
        (weak_rewards.substring, "every day"),
        (weak_rewards.substring, "list of letters"),
        (weak_rewards.loose_format, "text before the thought"),
        (weak_rewards.loose_format, "nested thoughts"),
        (weak_rewards.reflection, "stuffed reflection"),
        (weak_rewards.steps, "stuffed steps"),
        (weak_rewards.latin_letters, "target language in code"),
        (weak_rewards.latin_letters, "gibberish in the right script"),
        (weak_rewards.latin_letters, "answer in the language, thought in another"),
    ],
)
def test_a_weak_reward_is_caught(reward, exploit):
    assert exploit in paying(reward)


@pytest.mark.parametrize(
    ("reward", "one"),
    [
        (weak_rewards.last_number, "decimal"),
        (weak_rewards.substring, "as a word"),
        (weak_rewards.fragile, "no box"),
    ],
)
def test_a_strict_reward_is_seen_to_refuse_right_answers(reward, one):
    assert one in {outcome.sample.id for outcome in audit_reward(reward).refused}


def test_rewritings_of_a_choice_are_for_rewards_that_read_options():
    rows = {
        reward: {outcome.sample.row for outcome in audit_reward(reward).rewritings}
        for reward in (MathAccuracy(), ChoiceAccuracy())
    }
    assert rows[ChoiceAccuracy()] == {"choice"}
    assert "choice" not in rows[MathAccuracy()]


def test_a_reward_that_raises_counts_as_paying_and_as_refusing():
    audit = audit_reward(weak_rewards.fragile)
    raised = {outcome.sample.id: outcome.error for outcome in audit.paying if outcome.error}
    assert "TypeError" in raised["unterminated box"]
    assert "TypeError" in {outcome.sample.id: outcome.error for outcome in audit.refused}["no box"]
    # and those in the same batch are judged by themselves
    for outcomes in (audit.exploits, audit.rewritings):
        assert any(outcome.error is None for outcome in outcomes)


def test_what_cannot_be_tried_is_said():
    assert "`models/preference`" in audit_reward(PreferenceModel("models/preference")).skipped
    assert "no question" in audit_reward(weak_rewards.knows_nothing).skipped


class AsksAServer:
    base_url, model = "http://judge:8000/v1", "judge"

    def __call__(self, **handed):
        raise AssertionError("asked")


def test_a_judge_is_not_asked():
    assert "`judge` at http://judge:8000/v1" in audit_reward(AsksAServer()).skipped


def test_the_battery_can_be_read(capsys):
    assert battery_main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert all(one.id in shown and one.what in shown for one in (*EXPLOITS, *REWRITINGS))


def with_rewards_of_their_own():
    """The recipes that ship, without those whose stages declare what a stage before them does."""
    seen, found = set(), []
    for name in known_recipes():
        declared = {repr(declared_rewards(stage.config)) for stage in read_recipe(name)[0].stages}
        if not declared <= seen:
            found.append(name)
        seen |= declared
    return found


@pytest.mark.parametrize("recipe", with_rewards_of_their_own())
def test_no_exploit_pays_with_a_recipe_that_ships(recipe, capfd):
    assert main(["audit", recipe]) == 0
    shown = capfd.readouterr().out
    assert "PAYS" not in shown
    assert "REFUSED" not in shown
    assert "none pays" in shown or "no stage declares a reward" in shown


RECIPE = """
name: weak
stages:
  - name: zero
    kind: grpo
    model: org/model
    data: [{{path: org/data, domain: math}}]
    set:
      prompt_template: chat
      rewards: [{rewards}]
"""


@pytest.mark.parametrize(
    ("rewards", "code", "said"),
    [
        (
            "trl.rewards.accuracy_reward, trl_r1.rewards.MathAccuracy",
            1,
            ["false equation", "PAYS", "sentence in the box", "REFUSED", "exploits that pay  right answers refused"],
        ),
        ("tests.audit.weak_rewards.loose_format", 1, ["text before the thought", "PAYS"]),
        ("trl_r1.rewards.MathAccuracy, trl_r1.rewards.ThinkFormat", 0, ["none pays", "none refused"]),
        (
            "{func: trl_r1.rewards.PreferenceModel, args: {model: org/preference}}",
            0,
            ["not tried", "`org/preference`"],
        ),
        ("{func: trl_r1.rewards.MathAccuracy, args: {stile: think}}", 2, ["stile"]),
        ("trl_r1.rewards.MathAccurasy", 2, ["MathAccurasy"]),
    ],
)
def test_the_command_ends_with_what_it_found(tmp_path, monkeypatch, capfd, rewards, code, said):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(rewards=rewards))
    assert main(["audit", str(recipe)]) == code
    shown = "".join(capfd.readouterr())
    for text in said:
        assert text in shown


def test_a_recipe_that_cannot_be_read_ends_with_2(tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: weak\nstages: [{name: a, kind: grpo, model: nowhere-to-be-found}]\n")
    assert main(["audit", str(recipe)]) == 2
    assert main(["audit"]) == 2
    assert "expected a recipe" in capsys.readouterr().err


def test_what_was_found_can_be_had_in_json(tmp_path, monkeypatch, capfd):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(rewards="tests.audit.weak_rewards.fragile"))
    assert main(["audit", str(recipe), "--json"]) == 1
    (found,) = json.loads(capfd.readouterr().out)["rewards"]
    assert found["stages"] == ["zero"]
    assert found["paying"] == sum(one["fails"] for one in found["exploits"]) > 0
    assert found["refused"] == sum(one["fails"] for one in found["right_answers"]) > 0
    (one,) = (one for one in found["right_answers"] if one["id"] == "no box")
    assert (one["row"], one["reward"], one["wrong"], one["right"]) == ("number", None, 0.0, 1.0)
    assert "TypeError" in one["error"]


@pytest.mark.parametrize("command", [["audit", "--list"], ["--help"], ["--version"], ["plan", "playground"], []])
def test_output_that_is_cut_short_is_no_error(command):
    """`trl-r1 ... | head -0`: nobody reads, from the beginning."""
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "trl_r1.cli", *command], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert ran.stderr == ""
    assert ran.returncode == 0

import pytest

from trl_r1.errors import ConfigError
from trl_r1.ids import model_label, parse_hub_id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Qwen/Qwen2.5-7B", ("Qwen/Qwen2.5-7B", None)),
        ("gpt2", ("gpt2", None)),
        ("Qwen/Qwen2.5-7B@v1.0", ("Qwen/Qwen2.5-7B", "v1.0")),
        ("org/name@refs/pr/3", ("org/name", "refs/pr/3")),
        ("org/name@" + "a" * 40, ("org/name", "a" * 40)),
        ("./here@once", ("./here@once", None)),
        ("../up", ("../up", None)),
        ("/abs/path/model", ("/abs/path/model", None)),
        ("~/models/x@y", ("~/models/x@y", None)),
        (".", (".", None)),
    ],
)
def test_an_id_is_taken_apart_and_a_path_is_left_whole(text, expected):
    assert parse_hub_id(text) == expected


def test_what_exists_on_the_disk_is_a_path_even_with_an_at_sign(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_hub_id("org/name@main") == ("org/name", "main")
    (tmp_path / "org" / "name@main").mkdir(parents=True)
    assert parse_hub_id("org/name@main") == ("org/name@main", None)


@pytest.mark.parametrize(
    "text", ["", "  ", "org/name@", "org/name@a b", "org/name@-x", "a/b/c", "org/na--me", "-x", None, 3]
)
def test_a_malformed_id_says_what_was_expected(text):
    with pytest.raises(ConfigError, match=r"org/name|branch, a tag or a commit"):
        parse_hub_id(text)


def test_a_model_is_named_without_the_machines_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("run/dev2/model", "run/dev2/checkpoint-500", "Qwen2.5-7B"):
        (tmp_path / folder).mkdir(parents=True)
    labels = {
        f"{tmp_path}/run/dev2/model": "dev2",
        "run/dev2/model": "dev2",
        "./run/dev2/checkpoint-500": "dev2/checkpoint-500",
        "Qwen2.5-7B": "Qwen2.5-7B",
        "/no/longer/there/zero/model": "zero",
        "Qwen/Qwen2.5-7B@v1.0": "Qwen/Qwen2.5-7B@v1.0",
        "": "",
    }
    assert {model: model_label(model) for model in labels} == labels

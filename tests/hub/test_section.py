import pytest

from trl_r1.errors import ConfigError
from trl_r1.hub import HubSection, check_hub_section


STAGES = ["dev1", "r1", "scores"]


def test_a_section_may_be_missing_or_empty_and_is_private_unless_it_says_otherwise():
    assert check_hub_section(None, STAGES) == HubSection() == check_hub_section({}, STAGES)
    assert HubSection().private


def test_a_full_section_names_the_repositories():
    mapping = {
        "namespace": "my-org",
        "prefix": "x-",
        "private": False,
        "stages": ["r1", "dev1"],
        "repos": {"r1": "other/My-R1"},
        "license": "apache-2.0",
    }
    section = check_hub_section(mapping, STAGES)
    assert section.repo_id("r1", namespace="my-org", recipe_name="recipe") == "other/My-R1"
    assert section.repo_id("dev1", namespace="my-org", recipe_name="recipe") == "my-org/x-dev1"
    assert HubSection().repo_id("r1", namespace="me", recipe_name="recipe") == "me/recipe-r1"
    assert not section.private


@pytest.mark.parametrize(
    ("mapping", "key", "expected"),
    [
        ("my-org", "`hub`", "expected a mapping"),
        ({"namespce": "x"}, "`hub.namespce`", "did you mean `namespace`"),
        ({"namespace": 3}, "`hub.namespace`", "expected a text"),
        ({"private": "yes"}, "`hub.private`", "expected true or false"),
        ({"stages": "r1"}, "`hub.stages`", "expected a list of stage names"),
        ({"stages": []}, "`hub.stages`", "expected a list of stage names"),
        ({"stages": ["r1", "r2"]}, "`hub.stages[1]`", "no stage is called 'r2'; stages: dev1, r1, scores"),
        ({"repos": ["a/b"]}, "`hub.repos`", "expected a mapping from stage to `org/name`"),
        ({"repos": {"r2": "a/b"}}, "`hub.repos.r2`", "no stage is called 'r2'"),
        ({"repos": {"r1": "just-a-name"}}, "`hub.repos.r1`", "expected a full name `org/name`"),
        ({"repos": {"r1": "a/b c"}}, "`hub.repos.r1`", "would go to 'a/b c'"),
        ({"prefix": "a--"}, "`hub.prefix`", "would go to 'user/a--dev1'"),
        ({"namespace": "my org"}, "`hub.namespace`", "would go to 'my org/run-dev1'"),
        ({"repos": {"r1": "a/b", "dev1": "a/b"}}, "`hub.repos.r1`", "would both go to 'a/b'"),
    ],
)
def test_what_is_wrong_is_named_with_file_key_and_expectation(mapping, key, expected):
    with pytest.raises(ConfigError) as caught:
        check_hub_section(mapping, STAGES, "recipe.yaml")
    message = str(caught.value)
    assert message.startswith(f"recipe.yaml: {key}: ")
    assert expected in message

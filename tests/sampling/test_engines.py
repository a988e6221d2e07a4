import pytest

from tests.sampling.own_process import OwnProcessEngine
from trl_r1.errors import ConfigError
from trl_r1.sampling import Sample, SamplingConfig, engine_of, sample


ROWS = [{"prompt_id": str(i), "prompt": f"{i}?"} for i in range(3)]
OWN = "tests.sampling.own_process"


def config(**changes):
    return SamplingConfig(
        **{"prompt_template": "plain", "n_samples": 2, "shard_prompts": 2, "backend": OWN, **changes}
    )


def test_each_engine_that_ships_says_what_others_have_to_know():
    names = ("transformers", "vllm", "server")
    engines = [engine_of(name) for name in names]
    says = {name: (e.rolling, e.loads_model, e.needs_own_process) for name, e in zip(names, engines)}
    assert says == {
        "transformers": (False, True, False),
        "vllm": (True, True, True),
        "server": (True, False, False),
    }


def test_an_engine_of_one_s_own_is_named_by_its_module_and_closed_at_the_end(tmp_path, monkeypatch):
    made, closed = [], []
    monkeypatch.setattr(OwnProcessEngine, "__init__", lambda self, model, config: made.append((self, model)))
    generate = lambda self, questions, n, seed: [[Sample("a", "stop", 1)] * n for _ in questions]  # noqa: E731
    monkeypatch.setattr(OwnProcessEngine, "generate", generate)
    monkeypatch.setattr(OwnProcessEngine, "close", lambda self: closed.append(self))
    list(sample("org/model", ROWS, config(), tmp_path))
    ((engine, model),) = made
    assert model == "org/model"
    assert closed == [engine]
    list(sample("org/model", ROWS, config(), tmp_path))
    assert len(made) == len(closed) == 1  # nothing is left to sample, so nothing is loaded


def test_an_engine_is_closed_where_it_fails_and_left_open_where_it_is_the_caller_s(tmp_path, monkeypatch):
    def fails(self, questions, n, seed):
        raise RuntimeError("out of memory")

    closed = []
    monkeypatch.setattr(OwnProcessEngine, "__init__", lambda self, model, config: None)
    monkeypatch.setattr(OwnProcessEngine, "generate", fails)
    monkeypatch.setattr(OwnProcessEngine, "close", lambda self: closed.append(self))
    with pytest.raises(RuntimeError):
        list(sample("org/model", ROWS, config(), tmp_path))
    assert len(closed) == 1
    with pytest.raises(RuntimeError):
        list(sample("org/model", ROWS, config(), tmp_path, engine=OwnProcessEngine("org/model", config())))
    assert len(closed) == 1


@pytest.mark.parametrize("name", ["vlm", "json.tool", "nowhere.at.all"])
def test_what_is_no_engine_is_refused_with_those_there_are(name):
    with pytest.raises(ConfigError, match=rf"one of server, transformers, vllm, or .* got '{name}'") as error:
        config(backend=name)
    assert error.value.key == "backend"

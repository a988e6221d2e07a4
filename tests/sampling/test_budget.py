"""A thought that is cut at its budget, and the answer that is asked for then."""

import pytest

from tests.stages.tiny import make_model
from trl_r1.errors import ConfigError
from trl_r1.sampling import Engine, Request, Sample, SamplingConfig, check_budget, sample_within_budget
from trl_r1.sampling.budget import ASK
from trl_r1.sampling.engines.transformers import TransformersEngine
from trl_r1.sampling.prompts import load_tokenizer


ROWS = [{"prompt_id": name, "prompt": f"what is {name}?"} for name in ("a", "b", "c")]
THOUGHTS = {
    "what is a?": Sample("<think>so it is", "length", 5),
    "what is b?": Sample("<think>so</think>it is 2", "stop", 4),
    "what is c?": Sample("<think>so</think>it is pro", "length", 5),
}


class Scripted(Engine):
    """Thinks as `THOUGHTS` say, and answers what it is asked to go on from with its length."""

    def __init__(self, config):
        super().__init__("scripted", config)
        self.asked = []

    def generate(self, questions, n, seed):
        self.asked.append((self.config.max_completion_tokens, n, list(questions)))
        return [[THOUGHTS.get(each) or Sample(f"{len(each)}}}", "stop", 2) for _ in range(n)] for each in questions]


class Rolling(Scripted):
    rolling = True

    def complete(self, requests):
        for request in requests:
            assert isinstance(request, Request)
            yield request, self.generate([request.question], 1, request.seed)[0][0]


@pytest.mark.parametrize("kind", [Scripted, Rolling])
def test_a_thought_is_cut_and_the_answer_asked_for(kind, tmp_path):
    config = SamplingConfig(prompt_template="User: {prompt} ", n_samples=2, max_completion_tokens=300)
    engine = kind(config)
    traces = sample_within_budget("scripted", ROWS, config, tmp_path, budget=5, engine=engine)
    assert [(t.prompt_id, t.sample) for t in traces] == [(name, i) for name in "abc" for i in (0, 1)]
    a, _, b, _, c, _ = traces
    assert a.completion.startswith("<think>so it is" + ASK)
    assert (a.finish_reason, a.n_tokens) == ("stop", 7)
    assert (b.completion, b.n_tokens) == ("<think>so</think>it is 2", 4)
    assert c.completion.startswith("<think>so" + ASK), "what was left of the answer is asked for again"
    thought = [each for tokens, _, each in engine.asked if tokens == 5]
    answers = [each for tokens, _, questions in engine.asked if tokens == 32 for each in questions]
    assert thought
    assert len(answers) == 4
    assert set(answers) == {f"User: what is a? <think>so it is{ASK}", f"User: what is c? <think>so{ASK}"}
    before = len(engine.asked)
    assert sample_within_budget("scripted", ROWS, config, tmp_path, budget=5, engine=engine) == traces
    assert len(engine.asked) == before, "both jobs were there"


def test_what_the_prompt_holds_of_a_thought_is_not_given_twice(tmp_path):
    config = SamplingConfig(prompt_template="plain", completion_prefix="<think>", n_samples=1)
    engine = Scripted(config)
    (trace,) = sample_within_budget("scripted", ROWS[:1], config, tmp_path, budget=5, engine=engine)
    assert engine.asked[-1][2] == [f"what is a?<think>so it is{ASK}"]
    assert trace.completion.startswith("<think>so it is" + ASK)


def test_a_conversation_is_gone_on_with_where_its_template_is_known(tmp_path, monkeypatch):
    make_model(tmp_path / "model")
    asked = []
    inner = TransformersEngine.generate
    monkeypatch.setattr(
        TransformersEngine, "generate", lambda self, texts, n, seed: asked.append(texts) or inner(self, texts, n, seed)
    )
    config = SamplingConfig(prompt_template="chat", n_samples=4)
    rows = [{"prompt_id": "a", "prompt": "what is 1 + 2 ?"}]
    traces = sample_within_budget(str(tmp_path / "model"), rows, config, tmp_path / "traces", budget=3)
    cut = [each for each in traces if ASK in each.completion]
    assert cut
    tokenizer = load_tokenizer(str(tmp_path / "model"))
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "what is 1 + 2 ?"}], add_generation_prompt=True, tokenize=False
    )
    assert sorted(asked[1]) == sorted(prompt + each.completion.split(ASK)[0] + ASK for each in cut)


def test_through_a_server_a_conversation_cannot_be_gone_on_with():
    config = SamplingConfig(prompt_template="chat", backend="server", base_url="http://localhost:1/v1")
    with pytest.raises(ConfigError, match="middle of the model's turn") as error:
        check_budget(config, "thought_budget")
    assert error.value.key == "thought_budget"
    check_budget(SamplingConfig(prompt_template="chat"), "thought_budget")

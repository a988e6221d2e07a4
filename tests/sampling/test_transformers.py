import pytest

from tests.stages.tiny import make_model, save_adapter
from trl_r1.errors import ConfigError
from trl_r1.sampling import SamplingConfig, sample


QUESTIONS = ["what is 1 + 2 ?", "what is the sum : 3 + 4 + 5 + 6 ?", "7 ?"]
ROWS = [
    {"prompt_id": str(i), "prompt": q, "solution": "1", "domain": "math", "language": "en"}
    for i, q in enumerate(QUESTIONS)
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(make_model(tmp_path_factory.mktemp("model")))


def config(**changes):
    return SamplingConfig(**{"prompt_template": "plain", "n_samples": 4, "max_completion_tokens": 12, **changes})


@pytest.fixture(scope="module")
def engine(model):
    from trl_r1.sampling.engines.transformers import TransformersEngine

    return TransformersEngine(model, config())


def test_each_question_gets_its_number_of_completions_and_their_true_length(engine):
    samples = engine.generate(QUESTIONS, 8, seed=1)
    assert [len(each) for each in samples] == [8, 8, 8]
    flat = [sample for each in samples for sample in each]
    assert all(1 <= sample.n_tokens <= 12 for sample in flat)
    assert all(sample.n_tokens == 12 for sample in flat if sample.finish_reason == "length")
    assert any(sample.finish_reason == "length" for sample in flat)
    assert not any("<eos>" in sample.text or "<pad>" in sample.text for sample in flat)
    assert len({sample.text for sample in flat}) > 12


def test_the_seed_decides_and_the_batches_of_other_shards_do_not(engine):
    once = engine.generate(QUESTIONS, 4, seed=1)
    other = engine.generate(QUESTIONS[:1], 4, seed=2)
    assert engine.generate(QUESTIONS, 4, seed=1) == once
    assert other != once[:1]


def test_greedy_decoding_does_not_depend_on_padding_or_order(model):
    from trl_r1.sampling.engines.transformers import TransformersEngine

    greedy = TransformersEngine(model, config(temperature=0.0, batch_size=2))
    together = greedy.generate(QUESTIONS, 1, seed=0)
    alone = [greedy.generate([question], 1, seed=0)[0] for question in QUESTIONS]
    assert together == alone
    assert greedy.generate(QUESTIONS, 3, seed=0) == [samples * 3 for samples in alone]


def test_sampling_is_over_the_whole_distribution_whatever_the_model_s_own_config_says(model, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    from trl_r1.sampling.engines.transformers import TransformersEngine

    AutoModelForCausalLM.from_pretrained(model).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(model).save_pretrained(tmp_path)
    GenerationConfig(do_sample=True, top_k=1, temperature=0.1, eos_token_id=1, pad_token_id=0).save_pretrained(
        tmp_path
    )
    engine = TransformersEngine(str(tmp_path), config(max_completion_tokens=1))
    seen = {sample.text for sample in engine.generate(["what"], 256, seed=0)[0]}
    # The weights are random: some 60 tokens are about equally likely, and with top_k=1 there would be one.
    assert len(seen) > 40


def test_what_ends_a_completion_is_counted_and_not_in_its_text(model, engine, monkeypatch):
    numbers = engine.tokenizer.convert_tokens_to_ids([str(number) for number in range(40)])
    monkeypatch.setattr(engine, "ends", [1, *numbers])
    monkeypatch.setattr(engine.generation, "eos_token_id", [1, *numbers])
    samples = [one for each in engine.generate(QUESTIONS, 8, seed=1) for one in each]
    stopped = [one for one in samples if one.finish_reason == "stop"]
    assert stopped
    for one in stopped:
        words = one.text.split()
        assert not any(word.isdigit() for word in words)
        assert one.n_tokens > len(words)


def test_what_the_prompt_began_stands_in_the_trace(model, tmp_path):
    from trl_r1.sampling.engines.transformers import TransformersEngine

    prefixed = TransformersEngine(model, config(completion_prefix="<think> "))
    assert all(sample.text.startswith("<think> ") for sample in prefixed.generate(["7 ?"], 4, seed=0)[0])
    template = TransformersEngine(model, config(prompt_template="User : {prompt} Assistant : <think>"))
    assert all(sample.text.startswith("<think>") for sample in template.generate(["7 ?"], 4, seed=0)[0])
    chat = TransformersEngine(model, config(prompt_template="chat"))
    chat.tokenizer.chat_template = "{{ messages[0]['content'] + ' <think>\\n' }}"
    assert all(sample.text.startswith("<think>\n") for sample in chat.generate(["7 ?"], 4, seed=0)[0])


def test_an_adapter_is_sampled_from_with_its_base(model, tmp_path):
    save_adapter(model, tmp_path / "adapter")
    greedy = config(temperature=0.0, n_samples=1)
    of_base = [trace.completion for trace in sample(model, ROWS, greedy, tmp_path / "base")]
    of_adapter = [trace.completion for trace in sample(str(tmp_path / "adapter"), ROWS, greedy, tmp_path / "traces")]
    assert len(of_adapter) == 3
    assert of_adapter != of_base


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        list(sample(str(tmp_path / "nowhere"), ROWS, config(), tmp_path / "traces"))

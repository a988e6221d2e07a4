"""A preference model as a reward: what it reads, what it returns, and what it leaves alone."""

import math
import pickle
from pathlib import Path

import pytest

from trl_r1.errors import ConfigError
from trl_r1.rewards import PreferenceModel
from trl_r1.rewards.preference_text import PreferenceForm


WORDS = "<think> </think> user assistant good bad so the answer is 1 2 3 4 5 : ?"
TEMPLATE = "{% for m in messages %}{{ m['role'] + ' : ' + m['content'] + ' ' }}{% endfor %}"


def save_classifier(folder: Path, labels: int = 1) -> str:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForSequenceClassification

    vocabulary = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *WORDS.split()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", chat_template=TEMPLATE
    ).save_pretrained(folder)
    torch.manual_seed(1)
    config = Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        num_labels=labels,
        pad_token_id=0,
        initializer_range=0.5,
    )
    Qwen3ForSequenceClassification(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return save_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    save_classifier(folder)
    PreferenceForm("plain", "summary", 6).save(folder)
    return str(folder)


def alone(folder: str, form: PreferenceForm, question: str, response: str) -> float:
    """The score as the model gives it to one text, without a batch."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = form.token_ids(tokenizer, question, response)[: form.max_length]
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[0, 0].item()


COMPLETIONS = [
    "<think> so </think> good",
    "<think> so so so so so so </think> bad",
    "good good good",
    "<think> 1 2 3 4 5 </think> the answer is 3",
    "good",
]
QUESTIONS = ["the answer ?", "the answer is ?", "so ?", "1 ?", "good ?"]


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_scores_do_not_depend_on_the_batch(classifier, batch_size):
    reward = PreferenceModel(classifier, normalise="raw", batch_size=batch_size)
    scores = reward(completions=COMPLETIONS, prompts=QUESTIONS, question=QUESTIONS)
    form = PreferenceForm("chat", "all")
    expected = [alone(classifier, form, q, c) for q, c in zip(QUESTIONS, COMPLETIONS)]
    assert scores == pytest.approx(expected, abs=1e-5)
    assert len(set(scores)) == len(scores)


def test_helpfulness_reads_the_summary_only(classifier):
    reward = PreferenceModel(classifier, part="summary", normalise="raw")
    one, other, whole = (
        reward(completions=[c], prompts=["so ?"])[0]
        for c in ("<think> 1 </think> good", "<think> 2 3 </think> good", "good")
    )
    assert one == pytest.approx(other, abs=1e-6)
    assert one == pytest.approx(whole, abs=1e-6)
    harmless = PreferenceModel(classifier, part="response", normalise="raw")
    assert harmless(completions=["<think> 1 </think> good"], prompts=["so ?"])[0] != pytest.approx(one, abs=1e-4)


def test_the_form_it_was_trained_on_is_the_form_it_reads(trained):
    reward = PreferenceModel(trained, normalise="raw")
    assert reward.form() == PreferenceForm("plain", "summary", 6)
    score = reward(completions=["<think> 1 </think> good bad good bad good bad"], prompts=["x"], question=["so ?"])[0]
    assert score == pytest.approx(alone(trained, reward.form(), "so ?", "good bad good bad good bad"), abs=1e-5)
    assert score == pytest.approx(reward(completions=["good bad good bad good 1 2"], prompts=["so ?"])[0], abs=1e-5)


@pytest.mark.parametrize("argument", [{"part": "response"}, {"prompt_template": "chat"}])
def test_another_form_than_it_was_trained_on_is_refused(trained, argument):
    with pytest.raises(ConfigError, match="was trained") as found:
        PreferenceModel(trained, **argument)(completions=["good"], prompts=["so ?"])
    assert found.value.key == next(iter(argument))


def test_the_question_is_found_in_a_conversation(classifier):
    reward = PreferenceModel(classifier, normalise="raw")
    conversation = reward(
        completions=[[{"role": "assistant", "content": "good"}]], prompts=[[{"role": "user", "content": "so ?"}]]
    )
    assert conversation == reward(completions=["good"], prompts=["other"], question=["so ?"])


def test_a_thought_that_the_prompt_opened_is_put_back(classifier):
    reward = PreferenceModel(classifier, normalise="raw")
    whole = reward(completions=["<think> so </think> good"], prompts=["1 ?"], question=["1 ?"])
    prefilled = reward(completions=[" so </think> good"], prompts=["1 ? <think>"], question=["1 ?"])
    told = reward(completions=[" so </think> good"], prompts=["1 ?"], question=["1 ?"], prefilled=[True])
    assert prefilled == pytest.approx(whole)
    assert told == pytest.approx(whole)


@pytest.mark.parametrize(
    ("normalise", "change"),
    [("raw", lambda x: x), ("sigmoid", lambda x: 1 / (1 + math.exp(-x))), ("tanh", math.tanh)],
)
def test_normalisation_and_raw_scores_in_the_log(classifier, normalise, change):
    columns, metrics = {}, {}
    rewards = PreferenceModel(classifier, normalise=normalise)(
        completions=COMPLETIONS, prompts=QUESTIONS, log_extra=columns.__setitem__, log_metric=metrics.__setitem__
    )
    raw = columns["preference_score"]
    assert rewards == pytest.approx([change(score) for score in raw])
    assert metrics["preference_score"] == pytest.approx(sum(raw) / len(raw))


def test_a_score_that_is_no_number_is_none(classifier, monkeypatch):
    monkeypatch.setattr("trl_r1.rewards.preference._scored", lambda *handed: [math.nan, 1.0, math.inf])
    rewards = PreferenceModel(classifier, normalise="raw")(completions=["a", "b", "c"], prompts=["x"] * 3)
    assert rewards == [None, 1.0, None]


def test_extreme_scores_do_not_overflow():
    from trl_r1.rewards.preference import NORMALISATIONS

    assert NORMALISATIONS["sigmoid"](-2000.0) == 0.0
    assert NORMALISATIONS["sigmoid"](2000.0) == 1.0


def test_pickles_without_its_weights(classifier):
    reward = PreferenceModel(classifier)
    before = reward(completions=["good"], prompts=["so ?"])
    pickled = pickle.dumps(reward)
    assert len(pickled) < 1000
    assert pickle.loads(pickled)(completions=["good"], prompts=["so ?"]) == before


def test_loading_leaves_the_random_state_alone(classifier, monkeypatch):
    import torch

    monkeypatch.setattr("trl_r1.rewards.preference._LOADED", {})
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    PreferenceModel(classifier)(completions=["good"], prompts=["so ?"])
    assert torch.equal(torch.rand(3), expected)


def test_a_model_with_several_outputs_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="one output") as found:
        PreferenceModel(save_classifier(tmp_path, labels=3))(completions=["good"], prompts=["so ?"])
    assert found.value.key == "model"


@pytest.mark.parametrize("arguments", [{"part": "thought"}, {"normalise": "zscore"}, {"batch_size": 0}, {"model": ""}])
def test_wrong_arguments_before_anything_loads(arguments):
    with pytest.raises(ConfigError) as found:
        PreferenceModel(**{"model": "some/model", **arguments})
    assert found.value.key == next(iter(arguments))


def test_neither_prompts_nor_questions(classifier):
    with pytest.raises(ConfigError, match="`question`"):
        PreferenceModel(classifier)(completions=["good"])


def test_stays_whole_while_zero3_is_on(classifier, monkeypatch):
    """Under ZeRO-3 `from_pretrained` cuts a model up; here it must not see that ZeRO-3 is on."""
    pytest.importorskip("deepspeed")
    from transformers.integrations import HfDeepSpeedConfig, is_deepspeed_zero3_enabled

    monkeypatch.setattr("trl_r1.rewards.preference._LOADED", {})
    config = HfDeepSpeedConfig({"zero_optimization": {"stage": 3}, "train_micro_batch_size_per_gpu": 1})
    assert is_deepspeed_zero3_enabled()
    reward = PreferenceModel(classifier, normalise="raw")
    # Cut up, its parameters would be empty, and without an engine there would be no score at all.
    score = reward(completions=["good"], prompts=["so ?"])[0]
    assert is_deepspeed_zero3_enabled()
    del config
    assert score == pytest.approx(alone(classifier, PreferenceForm(), "so ?", "good"), abs=1e-5)


def test_stays_whole_while_fsdp_loads_sparingly(classifier, monkeypatch):
    """There, `from_pretrained` fills the model on the first rank only and leaves it to FSDP to fill the others."""
    from torch import distributed
    from transformers.distributed.fsdp import is_fsdp_enabled

    monkeypatch.setattr("trl_r1.rewards.preference._LOADED", {})
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    monkeypatch.setenv("LOCAL_RANK", "1")
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        assert is_fsdp_enabled()
        score = PreferenceModel(classifier, normalise="raw")(completions=["good"], prompts=["so ?"])[0]
        assert is_fsdp_enabled()
    finally:
        distributed.destroy_process_group()
    monkeypatch.undo()
    assert score == pytest.approx(alone(classifier, PreferenceForm(), "so ?", "good"), abs=1e-5)


def test_a_language_model_without_a_head_for_scores_is_refused(tmp_path):
    """It would be given a random one."""
    from safetensors.torch import load_file, save_file

    folder = save_classifier(tmp_path)
    weights = load_file(f"{folder}/model.safetensors")
    save_file(
        {name: w for name, w in weights.items() if "score" not in name},
        f"{folder}/model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(ConfigError, match=r"no weights for score\.weight") as found:
        PreferenceModel(folder)(completions=["good"], prompts=["so ?"])
    assert found.value.key == "model"


def test_a_helpful_and_a_harmless_model_side_by_side(classifier, tmp_path):
    """Helpfulness of some rows by their summary, harmlessness of others by all of them (paper, v1 2.3.4)."""
    from trl_r1.rewards import load_rewards

    harmless = save_classifier(tmp_path)
    rewards, _ = load_rewards(
        [
            {
                "func": "trl_r1.rewards.PreferenceModel",
                "args": {"model": model, "part": part, "normalise": "raw"},
                "domains": [domain],
            }
            for model, part, domain in ((classifier, "summary", "general"), (harmless, "response", "safety"))
        ]
    )
    columns, metrics = {}, {}
    handed = {
        "completions": ["<think> bad </think> good", "<think> so </think> good"],
        "prompts": ["so ?"] * 2,
        "domain": ["general", "safety"],
        "log_extra": columns.__setitem__,
        "log_metric": metrics.__setitem__,
    }
    helpful, safe = (reward(**handed) for reward in rewards)
    assert helpful == [pytest.approx(alone(classifier, PreferenceForm(), "so ?", "good"), abs=1e-5), None]
    assert safe == [
        None,
        pytest.approx(alone(harmless, PreferenceForm(), "so ?", "<think> so </think> good"), abs=1e-5),
    ]
    # Raw, each under a name of its own.
    assert columns == {"preference_score": helpful, "preference_score_2": safe}
    assert metrics == {"preference_score": helpful[0], "preference_score_2": safe[1]}


def test_scored_in_batches_of_like_length(classifier, monkeypatch):
    """Little is padded, and the order of the result is that of the rows."""
    from trl_r1.rewards import preference

    model, tokenizer = PreferenceModel(classifier)._loaded()
    widths = []

    class Seen:
        device, config = model.device, model.config

        def __call__(self, input_ids, attention_mask):
            widths.append((input_ids.shape[1], int(attention_mask.sum(1).min())))
            return model(input_ids=input_ids, attention_mask=attention_mask)

    rows = [[5] * n for n in (3, 40, 4, 39, 38, 2, 41, 1)]
    scores = preference._scored(Seen(), tokenizer, rows, 4)
    assert widths == [(41, 38), (4, 1)]
    assert scores == pytest.approx([preference._scored(model, tokenizer, [row], 1)[0] for row in rows], abs=1e-5)

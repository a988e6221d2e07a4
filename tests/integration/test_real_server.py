"""
A judge, sampling and their client against a real server: `transformers serve` with a model made on the spot.

The model has learned one reply by heart, word by word, so that what comes back is JSON. The server takes about 20 s to
start on a quiet machine.
"""

import sys
from pathlib import Path

import pytest


pytest.importorskip("fastapi", reason="`transformers serve` needs transformers[serving]")

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.sampling.asking import complete
from trl_r1.errors import ConfigError
from trl_r1.rewards import Judge
from trl_r1.rewards.schedule import call
from trl_r1.sampling import SamplingConfig
from trl_r1.sampling.engines.server import ServerEngine

from .serving import serving


pytestmark = pytest.mark.slow

SECONDS = 300  # of patience with a busy machine
REPLY = ['{"analysis":', '"the', 'same",', '"verdict":', '"correct"}']


def make_model(folder: Path) -> str:
    """
    Save a model that answers every conversation with `REPLY`.

    A Llama: in the replies of a Qwen3 the server looks for the marks of that family's own template.
    """
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", "user", "assistant", *REPLY])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
    )
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['role'] }} {{ message['content'] }} {% endfor %}"
        "{% if add_generation_prompt %}assistant{% endif %}"
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=16,
            max_position_embeddings=1024,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
        )
    )
    tail = torch.tensor([vocabulary["assistant"], *(vocabulary[word] for word in REPLY), 1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        ids = torch.cat([torch.randint(2, len(vocabulary), (8, 24)), tail.expand(8, -1)], dim=1)  # (8, 31)
        labels = ids.clone()
        labels[:, :25] = -100
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    model.generation_config.update(do_sample=False, max_new_tokens=16, eos_token_id=1, pad_token_id=0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Yield the address of the server's API and the name of its model."""
    folder = tmp_path_factory.mktemp("server")
    model = make_model(folder / "model")
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", model, "--device", "cpu"]
    with serving(
        lambda port: [*command, "--host", "127.0.0.1", "--port", str(port)], folder / "log.txt", SECONDS
    ) as url:
        yield f"{url}/v1", model


def test_a_judge_judges(server, tmp_path):
    url, model = server
    judge = Judge(url, model, cache_dir=str(tmp_path), max_tokens=16, concurrency=4)
    logs = {}
    handed = {
        "completions": ["<think>1 and 1</think> 2", "3", "<think>never", "4"],
        "question": ["1+1?"] * 4,
        "solution": ["2", "2", "2", None],
    }
    rewards = call(judge, log_extra=logs.__setitem__, log_metric=logs.__setitem__, **handed)
    assert rewards == [1.0, 1.0, 0.0, None]
    assert logs["judge_verdict"] == ["correct", "correct", "no_answer", "no_reference"]
    kept = len(list(tmp_path.rglob("*.json")))
    assert kept == 2
    assert call(judge, **handed) == rewards


def test_a_reply_that_is_cut_is_none(server):
    url, model = server
    logs = {}
    judge = Judge(url, model, max_tokens=2)
    rewards = call(judge, completions=["2"], question=["1+1?"], solution=["2"], log_extra=logs.__setitem__)
    assert rewards == [None]
    assert logs["judge_verdict"] == ["unparsable"]


def test_a_server_gives_each_sample_that_it_is_asked_for(server):
    url, model = server
    config = SamplingConfig(
        prompt_template="chat", n_samples=3, max_completion_tokens=16, backend="server", base_url=url, temperature=0.0
    )
    samples = complete(ServerEngine(model, config), ["1+1?", "2+2?"], 3)
    assert [[sample.text for sample in each] for each in samples] == [[" ".join(REPLY)] * 3] * 2
    assert {sample.finish_reason for each in samples for sample in each} == {"stop"}
    assert {sample.n_tokens for each in samples for sample in each} <= {len(REPLY), len(REPLY) + 1}


def test_a_path_that_is_not_there_is_an_error_of_the_config(server):
    url, model = server
    with pytest.raises(ConfigError) as error:
        call(Judge(f"{url}/nowhere", model), completions=["2"], question=["1+1?"], solution=["2"])
    assert error.value.key == "base_url"

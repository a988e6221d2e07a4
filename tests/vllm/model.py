"""A model that answers every conversation by heart, and goes on with any other text as its random weights have it."""

from pathlib import Path

from tests.stages.tiny import make_model


# What follows the thought that the template opens: a judge's verdict, or an answer like any other.
REPLY = ["so", "</think>", '{"analysis":', '"the', 'same",', '"verdict":', '"correct"}']
TEMPLATE = (
    "{% for message in messages %}User : {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}Assistant : <think>{{ '\\n' }}{% endif %}"
)
# Beside the end-of-sequence token, by the model's generation config.
STOP_WORDS = [str(number) for number in range(30, 40)]
POSITIONS = 1024


def make_reciting_model(folder: Path, seed: int = 0) -> str:
    """
    Save it.

    Its generation config, as those of many models, holds more than the end of a sequence: a top-k of 1 and a penalty by
    which no two samples would differ and no greedy completion would be the model's own.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # vLLM's kernels for CPUs take heads of 32 and more.
    make_model(folder, seed=seed, hidden_size=64, positions=POSITIONS, words=tuple(REPLY[2:]))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    size = model.config.vocab_size
    tail = torch.tensor(tokenizer(" ".join(["Assistant : <think>", *REPLY, "<eos>"]))["input_ids"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    torch.manual_seed(seed)
    for _ in range(100):
        text = torch.randint(2, size, (8, 24))
        ids = torch.cat([text, tail.expand(8, -1)], dim=1)
        labels = ids.clone()
        labels[:, :27] = -100
        # Anything may follow any other text.
        everywhere = model(input_ids=text).logits.log_softmax(-1).mean()
        loss = model(input_ids=ids, labels=labels).loss - 0.1 * everywhere
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    stops = [1, *tokenizer.convert_tokens_to_ids(STOP_WORDS)]
    model.generation_config.update(do_sample=True, top_k=1, repetition_penalty=5.0, eos_token_id=stops, pad_token_id=0)
    model.save_pretrained(folder)
    return str(folder)

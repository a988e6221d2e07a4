"""A model that answers every conversation by heart, and goes on with any other text half by heart, half at random."""

from pathlib import Path

from tests.stages.tiny import make_model


# What follows the thought that the template opens: a judge's verdict, or an answer like any other.
REPLY = ["so", "</think>", '{"analysis":', '"the', 'same",', '"verdict":', '"correct"}']
TEMPLATE = (
    "{% for message in messages %}User : {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}Assistant : <think>{{ '\\n' }}{% endif %}"
)
# Beside the end-of-sequence token, by the model's generation config.
STOP_WORDS = ["38", "39"]
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
    tail = torch.tensor(tokenizer(" ".join(["Assistant : <think>", *REPLY, "<eos>"]))["input_ids"])
    # In any other text one word in two is the one that follows the word before it in a circle of words.
    circle = torch.tensor([i for i in range(3, model.config.vocab_size) if i not in tail[2:]])
    circle = circle[torch.randperm(len(circle), generator=torch.Generator().manual_seed(seed))]
    following = torch.zeros(model.config.vocab_size, dtype=torch.long)
    following[circle] = circle.roll(-1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    torch.manual_seed(seed)
    for step in range(240):
        width = (24, 24, 60, 200)[step % 4]
        text = circle[torch.randint(len(circle), (16, width))]
        for i in range(1, width):
            text[:, i] = torch.where(torch.rand(16) < 0.5, following[text[:, i - 1]], text[:, i])
        if width > 24:  # as a judge is asked: long, and mostly of words that the tokenizer does not know
            text = torch.where(torch.rand(text.shape) < 0.8, torch.tensor(2), text)
        ids = torch.cat([text, tail.expand(16, -1)], dim=1)
        labels = ids.clone()
        labels[:, 0 if width > 24 else width : width + 3] = -100
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    stops = [1, *tokenizer.convert_tokens_to_ids(STOP_WORDS)]
    model.generation_config.update(do_sample=True, top_k=1, repetition_penalty=5.0, eos_token_id=stops, pad_token_id=0)
    model.save_pretrained(folder)
    return str(folder)

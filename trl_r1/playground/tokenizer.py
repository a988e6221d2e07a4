r"""
The playground's tokenizer: one token for each word, phrase and number that its texts are made of.

Texts are cut into the longest pieces that the vocabulary has, so that what is decoded is what was encoded, character for
character. Printable ASCII characters are pieces too: any English text can be read, if slowly; other characters are
`<unk>`.

`<think>`, `</think>` and `\boxed{` are ordinary tokens: TRL decodes completions without special tokens, and rewards
have to see them. There is no chat template, since a base model has none; stages name a plain one in `prompt_template`.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .corpus import TEMPLATE
from .general import ACTS, ITEMS, KIND_WORDS, NAMES
from .tasks import LABELS, NO_ANSWER
from .words import LANGUAGES, TEXTS, WORDS


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


PAD, END, UNKNOWN = "<pad>", "<eos>", "<unk>"
LARGEST_NUMBER = 49  # numbers up to here are one token: digits would make a fact of each addition's carry


def vocabulary() -> list[str]:
    """Return every token, special ones first, in the order of their ids."""
    tokens = [PAD, END, UNKNOWN, *_pieces([TEMPLATE]), *TEXTS["marks"]]
    tokens += [str(number) for number in range(LARGEST_NUMBER + 1)]
    tokens += [*LABELS, NO_ANSWER]
    for by_language in TEXTS["prompts"].values():
        tokens += _pieces(by_language.values())
    for words in WORDS.values():
        tokens += words.all()
    for language in LANGUAGES:
        for texts in ACTS[language].values():
            tokens += _pieces(texts)
        # without the leading space, which is part of the piece before
        tokens += [*NAMES[language], *ITEMS[language], *(words.strip() for words in KIND_WORDS[language])]
    tokens += [chr(code) for code in range(32, 127)]
    return list(dict.fromkeys(tokens))


def _pieces(templates: Iterable[str]) -> list[str]:
    """The texts between the placeholders."""
    return [piece for template in templates for piece in re.split(r"\{\w+\}", template) if piece]


def make_tokenizer() -> "PreTrainedTokenizerFast":
    """Make the tokenizer."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = vocabulary()
    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token=UNKNOWN))
    longest_first = sorted((t for t in tokens if t not in (PAD, END, UNKNOWN)), key=len, reverse=True)
    pattern = Regex("|".join(re.escape(token) for token in longest_first) + r"|[\s\S]")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )

"""
Which words of a text belong to which language. Pure; no model, no torch.

The paper rewards a chain of thought for keeping to one language: the share of target-language words among its words
(arXiv 2501.12948 v2, eq. 7). It does not say how words are told apart. Here:

- **Scripts decide** where they can: Han, kana, Hangul, Greek, Hebrew, Thai, Devanagari, ...
- **Word lists with a cost for switching** decide among languages that share a script (Latin, Cyrillic, Arabic): the
  most probable sequence of languages (Viterbi) under each language's word frequencies, where changing the language
  costs much within a clause, less at a comma and little at the end of a sentence. The lists are those of `wordfreq`
  (code Apache-2.0, data CC BY-SA 4.0 and frozen in 2021), loaded when a text first needs them.
- **Nothing counts** that a reader would not call a word: formulas, digits, code, URLs, names of variables, units, and
  names of people in Latin letters between words of another script.
- **Chinese and Japanese** are counted by character: each Han character and each kana is a word. Measured on paragraphs
  translated into both and eight European languages: Chinese has 1.35 characters, or .75 words as jieba cuts them, to a
  European word, so that cutting is no fairer; Japanese has 1.9 characters or 1.2 words (UniDic), for which a
  dictionary of 250 MB would be needed. Han is Japanese where kana or characters that only Japanese uses stand near
  it, Chinese otherwise.
- **Written in Latin letters**, Russian, Ukrainian, Hindi, Chinese, Japanese, Korean and Arabic are still themselves
  (`pehle hum dono ko jodte hain` is Hindi), as a reader would say.

Words of no known language count under `"und"`: they are words, and in the target language they are not.
"""

from .counts import detect, is_mixed, share, word_counts
from .scripts import LANGUAGES, UNDETERMINED, normalize_language
from .words import tag_words


__all__ = [
    "LANGUAGES",
    "UNDETERMINED",
    "detect",
    "is_mixed",
    "normalize_language",
    "share",
    "tag_words",
    "word_counts",
]

"""
A kind of stage: a playground in whose thoughts nothing is a word of reflection. A try that fails ends like any other step,
and another try begins as the first did.
"""

import dataclasses
import sys

from trl_r1.playground.config import PlaygroundConfig
from trl_r1.playground.words import WORDS
from trl_r1.stages import playground, program


STAGE = playground.STAGE


def make_wordless(config: PlaygroundConfig) -> None:
    """Make such a playground. Arguments as [`~stages.playground.make_playground`]."""
    for language, words in list(WORDS.items()):
        tries = [words.tries[0]] * 2
        WORDS[language] = dataclasses.replace(words, tries=tries, looks=tries, wrong=words.end)
    playground.make_playground(config)


main = program(STAGE, make_wordless)

if __name__ == "__main__":
    sys.exit(main())

"""The `playground` stage as it is rehearsed: its data, and its model without training."""

import sys
from pathlib import Path

from ..io import whole_folder, write_json
from ..playground.config import PlaygroundConfig
from ..stages import playground, program


STAGE = playground.STAGE


def make_playground(config: PlaygroundConfig) -> None:
    """Make a playground. Arguments as [`~stages.playground.make_playground`]."""
    from ..playground.pretrain import make_model
    from ..playground.tokenizer import make_tokenizer

    playground.write_data(config)
    tokenizer = make_tokenizer()
    with whole_folder(Path(config.output_dir) / "model") as partial:
        make_model(config, tokenizer).save_pretrained(partial)
        tokenizer.save_pretrained(partial)
    write_json(Path(config.output_dir) / "metrics.json", {})


main = program(STAGE, make_playground)

if __name__ == "__main__":
    sys.exit(main())

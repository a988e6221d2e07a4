"""A stage that says it leaves a model, ends well, and leaves nothing."""

from trl_r1.kinds import StageKind


STAGE = StageKind(configs=("toys.stage:ToyArguments",), leaves=("model",), reads=())

"""A stage that says it leaves a model, ends well, and leaves nothing."""

CONFIG_CLASSES = ("toys.stage:ToyArguments",)
OUTPUTS = ("model",)

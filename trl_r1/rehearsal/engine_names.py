"""The variables that tell [`~rehearsal.engine`] which engine is behind it, and how much to ask of it. Torch-free."""

# The engine that the recipe names.
BACKEND_VARIABLE = "TRL_R1_REHEARSED_BACKEND"

# Set where that engine is to sample all that is asked for, to the maximum length.
FULL_VARIABLE = "TRL_R1_REHEARSED_IN_FULL"

# The length to which the recipe lets a completion grow.
TOKENS_VARIABLE = "TRL_R1_REHEARSED_TOKENS"

"""The variable that names the engine which a rehearsal asks for a few tokens. Torch-free."""

BACKEND_VARIABLE = "TRL_R1_REHEARSED_BACKEND"

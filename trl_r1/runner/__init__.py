"""
The runner: check a recipe, run its stages, say how far they are. It knows a stage as a module's name and its config.

Nothing here imports torch.
"""

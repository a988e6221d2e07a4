"""
The figures of `trl-r1 plan`: parameters, work, memory, disk and time of each stage, from `config.json` alone.

`stage.size_stage` is asked by `stages/_check.py`, in the process that makes the configs. `model` and `passes` load torch
inside their functions; `memory`, `strategy`, `throughput` and `work` are arithmetic, and `table` is what the terminal shows.
"""

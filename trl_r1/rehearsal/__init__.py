"""
`trl-r1 rehearse`: a recipe from its first stage to its last, in minutes, on a CPU, before anything is paid for.

The same YAML, stages, code and rewards, with four things replaced: models by ones of the same architecture with few and
random weights; data by a few of their rows; lengths, steps and batches by small ones; and what a random model cannot
write by completions that are right and completions that are spoilt in known ways, so that filters keep some and rewards
vary. What differs is said: what was checked, what was not, and each fault with its stage.

    run       the command: check, prepare, run, look at what came of it
    prepare   a process with torch: tiny models, rows, lengths of the real rows
    shrink    a stage of the recipe as it is rehearsed
    engine    sampling: the configured engine for a few tokens, then the completions of `completions`
    grpo      the same for the `grpo` stage
    examine   what the rewards said of right and of spoilt completions

This package loads no torch; its modules that need it do.
"""

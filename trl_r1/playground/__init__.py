"""
The playground: a world small enough to train from nothing on a CPU, with every stage of R1 in it.

Three kinds of problem with a checkable answer (`tasks`), requests of courtesy with a rule for what a good answer is
(`general`), in English and Chinese; a tokenizer that knows their words (`tokenizer`); a noisy corpus that shows more
guessing than work (`corpus`); and a base model that is pre-trained on it until it has the skills that RL can then
bring out (`pretrain`). Everything follows from one seed.

It differs from the paper in all but the shape: there the base model is given, and its corpus is the internet.

```bash
trl-r1 playground DIR                                            # tokenizer, base model, prompt sets
trl-r1 run recipes/playground/recipe.yaml --output-dir DIR       # all of R1 on them
```
"""

"""
Traces made on the spot, by the million: reasoning about arithmetic in English and Chinese, 2 KB each, in shards.

Of a thousand completions some are wrong, cut, malformed, of mixed language or repetitive, some repeat another sample of
their prompt word for word or but for a few words, and some prompts are those of an evaluation. Which ones is decided by
the seed and the trace's number alone, so that the shards can be written by several processes.
"""

import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from trl_r1.trace import Trace, write_traces


SAMPLES = 8  # of a prompt
PER_SHARD = 4000
_MEAN_SENTENCES = 17
_SPOILT = {"wrong": 0.30, "cut": 0.04, "malformed": 0.02, "mixed": 0.02, "repetitive": 0.01}
_SAME, _NEARLY = 0.01, 0.03  # shares of samples that repeat the prompt's first one, exactly or nearly
_CONTAMINATED = 500  # one of so many prompts is an evaluation's

_NAMES = {
    "en": [
        "Alice",
        "Omar",
        "Priya",
        "Jonas",
        "Mei",
        "Carlos",
        "Fatima",
        "Peter",
        "Ingrid",
        "Kwame",
        "Lena",
        "Tomas",
        "Hana",
        "Victor",
        "Ruth",
        "Diego",
    ],
    "zh": ["小明", "小红", "小刚", "小丽", "王老师", "李师傅", "张阿姨", "陈同学"],
}
_THINGS = {
    "en": [
        "apples",
        "marbles",
        "tickets",
        "books",
        "coins",
        "stickers",
        "pencils",
        "cookies",
        "stamps",
        "bottles",
        "chairs",
        "cards",
        "boxes",
        "shells",
    ],
    "zh": [
        "苹果",
        "弹珠",
        "车票",
        "图书",
        "硬币",
        "贴纸",
        "铅笔",
        "饼干",
        "邮票",
        "瓶子",
        "椅子",
        "卡片",
        "盒子",
        "贝壳",
    ],
}
_QUESTIONS = {
    # Few words in a row without a number, so that two questions have no run of ten in common.
    "en": (
        "In room {x} {n} has {a} {t}, buys {b} more and loses {c}. In box {y} each of {e} children at table {z} wants an "
        "equal share: how many of {a} and {b} go to each one at {z}?"
    ),
    "zh": "{x}号房的{n}有{a}个{t}，买了{b}个，丢了{c}个，{y}号箱里{e}个孩子平分，{z}号桌上每人得到{a}和{b}中的多少个？",
}
_DAYS = {
    "en": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    "zh": ["星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期天"],
}
_SENTENCES = {
    "en": """
Okay, so {n} starts with {a} {t}, and I have to find out what is left at the end.
Let me write down what is known: there are {a} {t} at first and {b} more come later.
First I add them up: {a} + {b} = {s}, which seems right because {a} is the larger part.
Wait, maybe I should check that again, since the wording of the problem is a little tricky.
If we call the number of {t} $x$, then $x = {a} + {b} - {c}$, so $x = {r}$.
So after the friend takes {c} of them, {n} has {r} {t} left on {d}.
Dividing {r} by {e} gives a quotient and a remainder, and both of them matter here.
Hmm, {e} times {q} is {p}, and {r} minus {p} is what remains over.
Alternatively, we could count in steps of {e} until we reach a number near {r}.
Let me verify this with another approach, by going backwards from the answer.
That means every child receives {q} {t}, no matter in which order they are handed out.
I think the question also asks for the remainder, which we must not forget to mention.
The total \\( {a} + {b} \\) equals {s}, and subtracting {c} leaves us with {r}.
But what if the friend had taken {b} instead? Then the result would have been quite different.
It is easy to make a mistake at this point, therefore I will compute it once more, slowly.
Looking at the last digit of {s}, we see that the sum cannot be off by one.
Since {q} children would get the same share, the distribution among all of them is fair.
On {d} nothing else happens, according to the story that we were given at the beginning.
Now the remaining {t} have to be counted, and there are fewer of them than {e}.
Therefore the calculation is consistent with everything that the problem says about {n}.
Suppose that {n} had bought {c} more; the division by {e} would still work the same way.
To be careful, I will also estimate: {s} is roughly {a} plus {b}, and that is plausible.
This step uses the fact that subtraction undoes addition, which is what we want here.
Good, both methods agree with each other, so I am fairly confident about this value.
In other words, the answer does not depend on who hands the {t} out to the children.
""".strip().split("\n"),
    "zh": """
好的，{n}一开始有{a}个{t}，我需要求出最后剩下多少个。
先把已知条件写下来：最初有{a}个{t}，后来又多了{b}个。
首先相加：{a} + {b} = {s}，这看起来是对的，因为{a}比较大。
等等，也许我应该再检查一遍，因为题目的说法有一点绕。
如果设{t}的数量为 $x$，那么 $x = {a} + {b} - {c}$，所以 $x = {r}$。
朋友拿走{c}个以后，{n}在{d}还剩下{r}个{t}。
用{r}除以{e}得到一个商和一个余数，这两个数都很重要。
{e}乘以{q}等于{p}，再用{r}减去{p}就是剩下的数量。
另外，我们也可以每次数{e}个，一直数到接近{r}为止。
让我用另一种方法验证一下，从答案往回推算。
这说明每个孩子得到{q}个{t}，不管按照什么顺序来分。
我觉得题目还问了余数，所以最后千万不要忘记写出来。
总数是{s}，减去{c}以后我们就得到了{r}，没有问题。
但是如果朋友拿走的是{b}个呢？那样结果就完全不一样了。
在这一步很容易出错，因此我要慢慢地再算一次才放心。
看一下{s}的个位数，就能知道这个和不会差一。
因为每个孩子分到的一样多，所以这样的分配是公平的。
根据题目开头的描述，{d}没有发生别的事情。
现在来数剩下的{t}，它们的数量一定比{e}少。
所以这个计算和题目里关于{n}的所有条件都是一致的。
""".strip().split("\n"),
}
_MIXED = {
    "en": "然后我们把它们全部加起来，再平均分给孩子们，最后检查一下结果对不对。",
    "zh": "Then we add all of them up and share the rest among the children, as before.",
}


def question(seed: int, number: int) -> tuple[str, str, dict[str, object]]:
    """Return a prompt's text, its language and the values that occur in it."""
    rng = random.Random(f"{seed}:prompt:{number}")
    language = "zh" if rng.random() < 0.25 else "en"
    a, b = rng.randint(1000, 99999), rng.randint(10, 999)
    c, e = rng.randint(5, 90), rng.randint(3, 40)
    r = a + b - c
    values: dict[str, object] = {"a": a, "b": b, "c": c, "e": e, "s": a + b, "r": r, "q": r // e, "p": r // e * e}
    values |= {name: rng.randint(10000, 99999) for name in "xyz"}
    values |= {"n": rng.choice(_NAMES[language]), "t": rng.choice(_THINGS[language]), "d": rng.choice(_DAYS[language])}
    return _QUESTIONS[language].format(**values), language, values


def evaluation(seed: int, prompts: int) -> list[str]:
    """Return the questions that an evaluation holds: one of every five hundred prompts."""
    return [question(seed, number)[0] for number in range(0, prompts, _CONTAMINATED)]


def traces_of(seed: int, number: int) -> Iterator[Trace]:
    """Make the samples of a prompt."""
    prompt, language, values = question(seed, number)
    rng = random.Random(f"{seed}:samples:{number}")
    first = ""
    for sample in range(SAMPLES):
        thought = _thought(rng, language, values)
        if sample == 0:
            first = thought
        elif (draw := rng.random()) < _SAME + _NEARLY:
            thought = first if draw < _SAME else first + "\n" + _sentence(rng, language, values)
        chance, spoilt = rng.random(), ""
        for name, share in _SPOILT.items():
            if chance < share:
                spoilt = name
                break
            chance -= share
        if spoilt == "mixed":
            thought += "\n" + (_MIXED[language] + "\n") * (4 if language == "en" else 30)
        elif spoilt == "repetitive":
            thought += ("\n" + _sentence(rng, language, values)) * 30
        answer = (
            f"The answer is \\boxed{{{values['q']}}}." if language == "en" else f"答案是 \\boxed{{{values['q']}}}。"
        )
        completion = f"<think>\n{thought}\n</think>\n\n{answer}"
        if spoilt in ("cut", "malformed"):
            completion = completion.replace("</think>", "")
        yield Trace(
            prompt_id=f"{number:016x}",
            prompt=prompt,
            completion=completion,
            solution=str(values["q"]),
            domain=("math", "code", "stem")[number % 3],
            language=language,
            rewards={"math_accuracy": float(spoilt != "wrong")},
            model="made-up",
            sampling={"temperature": 0.6, "top_p": 0.95, "max_completion_tokens": 32768, "prompt_template": "chat"},
            finish_reason="length" if spoilt == "cut" else "stop",
            n_tokens=len(completion) // (4 if language == "en" else 2),
            seed=seed,
            extra={"source": "made-up"},
        )


def _thought(rng: random.Random, language: str, values: dict[str, object]) -> str:
    sentences = max(3, int(rng.lognormvariate(0, 0.5) * _MEAN_SENTENCES * (2.1 if language == "zh" else 1)))
    said = [_sentence(rng, language, values) for _ in range(sentences)]
    return "\n".join(" ".join(said[start : start + 3]) for start in range(0, len(said), 3))


def _sentence(rng: random.Random, language: str, values: dict[str, object]) -> str:
    changed = {**values, "b": rng.randint(10, 999), "c": rng.randint(5, 90), "s": rng.randint(100, 9999)}
    return _SENTENCES[language][int(rng.random() * len(_SENTENCES[language]))].format(**changed)


def write_shards(folder: Path, traces: int, seed: int = 0, workers: int | None = None) -> list[Path]:
    """Write so many traces in shards, several at a time."""
    count = -(-traces // PER_SHARD)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(partial(_write_shard, folder, traces, seed), range(count)))


def _write_shard(folder: Path, traces: int, seed: int, shard: int) -> Path:
    path = folder / f"{shard:05d}.parquet"
    prompts = range(shard * PER_SHARD // SAMPLES, min((shard + 1) * PER_SHARD, traces) // SAMPLES)
    write_traces(path, (trace for number in prompts for trace in traces_of(seed, number)))
    return path

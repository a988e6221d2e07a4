"""
Pairs in, verdicts out: memo, fast path, workers, in this order.

GRPO asks about the same pair often (a group of 16 completions has few distinct answers), so verdicts are remembered;
equal pairs of one batch are judged once.
"""

from collections import OrderedDict
from collections.abc import Sequence

from .compare import Unreadable, compare, fast_leaf
from .convention import Convention
from .extract import final_answer
from .golds import read_gold
from .numeric import Undecided
from .pool import default_pool


DEADLINE_CPU_SECONDS = 2.0

_UNKNOWN = object()
_REMEMBERED = 65_536
_LONGEST_HERE = 2_000


class _Memo:
    """
    The last verdicts, by pair and deadline.

    Without a lock: each of these calls is atomic, and a process forked while another thread held one would wait for ever.
    """

    def __init__(self) -> None:
        self._verdicts: OrderedDict[tuple[str, str, float], bool | None] = OrderedDict()

    def get(self, key: tuple[str, str, float]) -> object:
        try:
            self._verdicts.move_to_end(key)
            return self._verdicts[key]
        except KeyError:  # between the two, another thread may have put too many
            return _UNKNOWN

    def put(self, key: tuple[str, str, float], verdict: bool | None) -> None:
        self._verdicts[key] = verdict
        if len(self._verdicts) > _REMEMBERED:
            self._verdicts.popitem(last=False)


_MEMO = _Memo()


def equivalent(
    gold: str,
    answer: str,
    deadline_cpu_seconds: float = DEADLINE_CPU_SECONDS,
    convention: Convention = Convention(),  # noqa: B008 (it is frozen)
) -> bool | None:
    r"""
    Tell whether an answer is equal to the gold. Not symmetric: the gold says what form is asked for.

    Args:
        gold (`str`):
            The reference: `18`, `\frac{1}{3}`, `$x=4$`, `#### 1,080`, `(1, 2]`, `\text{Monday}`, ..., or a worked
            solution that ends in one.
        answer (`str`):
            The answer, by itself or as the text that ends in it (see [`final_answer`]).
        deadline_cpu_seconds (`float`, *optional*, defaults to `2.0`):
            CPU time that computer algebra may spend.
        convention ([`Convention`], *optional*):
            What a comma, a space and a lone percentage mean in this data set.

    Returns:
        `bool` or `None`: `None` if the gold cannot be read, or the deadline was hit.
    """
    reference = read_gold(gold)
    if reference is None:
        return None
    found = final_answer(answer)
    if found is None:
        return False
    return judge([(convention.gold(reference), convention.answer(found))], deadline_cpu_seconds)[0]


def judge_any(
    rows: Sequence[tuple[Sequence[str], str | None]],
    deadline_cpu_seconds: float = DEADLINE_CPU_SECONDS,
    workers: int | None = None,
) -> list[bool | None]:
    """
    Compare many answers with several golds each, any of which is right.

    Args:
        rows (`Sequence[tuple[Sequence[str], str | None]]`):
            Golds and final answer of each, as [`read_golds`] and [`final_answer`] return them.
        deadline_cpu_seconds (`float`, *optional*, defaults to `2.0`):
            See [`judge`].
        workers (`int`, *optional*):
            See [`judge`].

    Returns:
        `list[bool | None]`: `True` where the answer equals one of the golds; `None` where there is none, or where one could
        not be judged and no other is equal; `False` else, and where there is no answer.
    """
    asked = [(gold, answer) for golds, answer in rows if answer is not None for gold in golds]
    verdicts = dict(zip(asked, judge(asked, deadline_cpu_seconds, workers), strict=True))
    found: list[bool | None] = []
    for golds, answer in rows:
        mine = [verdicts[gold, answer] for gold in golds] if answer is not None else [False] * len(golds)
        found.append(True if True in mine else None if None in mine or not mine else False)
    return found


def start_workers() -> None:
    """Start the process that workers are forked from, in the background, so that the first hard pair need not wait for it."""
    default_pool().start()


def judge(
    pairs: Sequence[tuple[str, str]],
    deadline_cpu_seconds: float = DEADLINE_CPU_SECONDS,
    workers: int | None = None,
) -> list[bool | None]:
    """
    Compare many answers with their golds.

    Args:
        pairs (`Sequence[tuple[str, str]]`):
            Gold and final answer of each, as [`read_golds`] and [`final_answer`] return them.
        deadline_cpu_seconds (`float`, *optional*, defaults to `2.0`):
            CPU time that computer algebra may spend on one pair, counted from when a worker takes it up.
        workers (`int`, *optional*):
            How many worker processes may be used. Defaults to the cores of the machine, shared among its ranks.

    Returns:
        `list[bool | None]`: one verdict per pair. `None`: the gold cannot be read, or the deadline was hit.

    Raises:
        [`~errors.MachineError`]: if a pair needs a worker, and none can be started.
    """
    verdicts: dict[tuple[str, str, float], bool | None] = {}
    hard: list[tuple[str, str, float]] = []
    keys = [(gold, answer, float(deadline_cpu_seconds)) for gold, answer in pairs]
    for key in dict.fromkeys(keys):
        verdict = _MEMO.get(key)
        if verdict is _UNKNOWN:
            try:
                verdict = _at_once(key[0], key[1])
            except Undecided:
                hard.append(key)
                continue
            except Unreadable:
                verdict = None
            _MEMO.put(key, verdict)
        verdicts[key] = verdict
    if hard:
        for key, verdict in zip(hard, default_pool().run(hard, workers), strict=True):
            verdicts[key] = verdict
            _MEMO.put(key, verdict)
    return [verdicts[key] for key in keys]


def _at_once(gold: str, answer: str) -> bool:
    """Decide a pair in this process, if it takes no computer algebra and its texts are short."""
    if max(len(gold), len(answer)) > _LONGEST_HERE:
        raise Undecided  # what is not plain cannot be killed here
    return compare(gold, answer, fast_leaf)

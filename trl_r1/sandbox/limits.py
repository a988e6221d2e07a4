"""What a test may use, and what can come of it."""

from dataclasses import dataclass, fields

from ..errors import ConfigError


PASSED = "passed"
WRONG_ANSWER = "wrong_answer"
RUNTIME_ERROR = "runtime_error"
COMPILE_ERROR = "compile_error"
TIME_LIMIT = "time_limit"
MEMORY_LIMIT = "memory_limit"
OUTPUT_LIMIT = "output_limit"
SANDBOX_FAILURE = "sandbox_failure"
UNTESTED = "untested"  # the tests checked nothing, or cannot be run

VERDICTS = (
    PASSED,
    WRONG_ANSWER,
    RUNTIME_ERROR,
    COMPILE_ERROR,
    TIME_LIMIT,
    MEMORY_LIMIT,
    OUTPUT_LIMIT,
    SANDBOX_FAILURE,
    UNTESTED,
)

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """
    What one test may use, all of its processes together where nothing else is said.

    Args:
        cpu_seconds (`float`, *optional*, defaults to `5.0`):
            CPU time. It decides between right and too slow, since it is the same on a busy machine.
        wall_seconds (`float`, *optional*, defaults to `10.0`):
            Real time in which none of its processes computes or stands ready to: asleep, or waiting for input.
        memory_bytes (`int`, *optional*, defaults to `536870912`):
            Memory; for each process also its address space, except under the JVM, Node and Go, which reserve far more
            than they use.
        processes (`int`, *optional*, defaults to `32`):
            Processes and threads.
        output_bytes (`int`, *optional*, defaults to `4194304`):
            Standard output and standard error, or a returned value as it is written.
        file_bytes (`int`, *optional*, defaults to `67108864`):
            Files, in a /tmp of its own.
    """

    cpu_seconds: float = 5.0
    wall_seconds: float = 10.0
    memory_bytes: int = 512 * MIB
    processes: int = 32
    output_bytes: int = 4 * MIB
    file_bytes: int = 64 * MIB

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            whole = field.type in (int, "int")
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not value > 0:
                kind = "a whole number" if whole else "a number"
                raise ConfigError(f"expected {kind} above 0, got {value!r}", key=field.name)


@dataclass(frozen=True)
class Result:
    """
    What came of one test.

    Args:
        verdict (`str`):
            One of [`VERDICTS`].
        detail (`str`, *optional*, defaults to `""`):
            What was seen: the error's last line, the compiler's message. Written by the program under test.
    """

    verdict: str
    detail: str = ""

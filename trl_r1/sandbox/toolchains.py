"""
The languages that programs may be written in, and the tools on this machine that run them.
"""

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, MachineError
from .limits import MIB, Limits


BUILD_LIMITS = Limits(20.0, 20.0, 3 << 30, 128, MIB, 1024 * MIB)
_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto", "-Xss64m")


@dataclass(frozen=True)
class Language:
    """
    How programs in one language are run.

    Args:
        name (`str`):
            Its name in arguments and data.
        fences (`tuple[str, ...]`):
            Further names that stand behind a fence.
        tools (`tuple[str, ...]`):
            The programs that it needs, the first of which says whether it is here.
        hint (`str`):
            What to install.
        file (`Callable`):
            Name of the source file, from the source.
        build (`Callable`, *optional*):
            Command that compiles or checks, from the tools' paths and the file.
        command (`Callable`):
            Command that runs the program, from the tools' paths, the file and the limit on memory in bytes.
        keep (`tuple[str, ...]`), keep_endings (`tuple[str, ...]`):
            What of the build is carried over to the tests.
        own_address_space (`bool`, *optional*, defaults to `True`):
            Whether its programs reserve no more address space than they use.
        overhead_bytes (`int`, *optional*, defaults to `0`):
            Memory of the runtime itself, beside the program's limit.
        older (`str`, *optional*):
            An option that is added for a second try where a program does not compile.
        beside (`tuple[str, ...]`, *optional*):
            What a tool at `PREFIX/bin` outside of /usr reads in its prefix. A jail shows no more of it.
    """

    name: str
    fences: tuple[str, ...]
    tools: tuple[str, ...]
    hint: str
    file: Callable[[str], str]
    command: Callable[[dict[str, str], str, int], list[str]]
    build: Callable[[dict[str, str], str], list[str]] | None = None
    keep: tuple[str, ...] = ()
    keep_endings: tuple[str, ...] = ()
    own_address_space: bool = True
    overhead_bytes: int = 0
    older: str | None = None
    beside: tuple[str, ...] = ()


_JAVA_TEXT = re.compile(
    r'//[^\n]*|/\*.*?(?:\*/|\Z)|"""(?:\\.|.)*?(?:"""|\Z)|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL
)
_JAVA_PARTS = re.compile(
    r"[{};]|(?P<public>\bpublic\s+(?:\w+\s+)*?)?(?<!\.)\b(?:class|record|enum|interface)\s+(?P<type>\w+)|\bvoid\s+(?P<main>main)\s*\("
)
_JAVA_PACKAGE = re.compile(r"^\s*package\s+[\w.\s]+;", re.MULTILINE)


def _java_types(source: str) -> tuple[str, str]:
    """Return the type after which javac wants the file named, and the one to start."""
    open_types: list[str] = []
    coming, public, first, mains = "", "", "", []
    for part in _JAVA_PARTS.finditer(_JAVA_TEXT.sub(" ", source)):
        if part["main"]:
            mains.append([name for name in open_types if name])
        elif part["type"]:
            coming = part["type"]
            if not open_types:
                first = first or coming
                public = coming if part["public"] else public
        elif part[0] == "{":
            open_types.append(coming)
            coming = ""
        elif part[0] == "}" and open_types:
            open_types.pop()
        else:
            coming = ""
    started = min((names for names in mains if names), key=len, default=[public or first or "Main"])
    return public or started[0], "$".join(started)


def _java_file(source: str) -> str:
    return f"{_java_types(source)[0]}.java"


_LANGUAGES = (
    Language(
        "cpp",
        ("c++", "cc", "cxx", "c++11", "c++14", "c++17", "c++20", "cpp17", "cpp20", "hpp", "g++"),
        ("g++",),
        "g++",
        lambda source: "main.cpp",
        lambda tools, file, memory: ["/tmp/main"],
        lambda tools, file: [tools["g++"], "-std=gnu++20", "-O2", "-pipe", "-o", "main", file],
        keep=("main",),
        beside=("include", "lib", "lib64", "libexec"),
        older="-std=gnu++17",  # where the program uses a name that the newer standard took
    ),
    Language(
        "c",
        ("c11", "c99", "h"),
        ("gcc",),
        "gcc",
        lambda source: "main.c",
        lambda tools, file, memory: ["/tmp/main"],
        lambda tools, file: [tools["gcc"], "-std=gnu17", "-O2", "-pipe", "-o", "main", file, "-lm"],
        keep=("main",),
        beside=("include", "lib", "lib64", "libexec"),
    ),
    Language(
        "javascript",
        ("js", "node", "nodejs", "mjs", "node.js"),
        ("node",),
        "nodejs",
        lambda source: "main.mjs" if re.search(r"^[ \t]*import\b.*\bfrom\b", source, re.MULTILINE) else "main.js",
        lambda tools, file, memory: [tools["node"], f"--max-old-space-size={memory // MIB}", file],
        lambda tools, file: [tools["node"], "--check", file],
        own_address_space=False,
        overhead_bytes=128 * MIB,
    ),
    Language(
        "java",
        (),
        ("javac", "java"),
        "a JDK, such as default-jdk-headless",
        _java_file,
        lambda tools, file, memory: [tools["java"], f"-Xmx{memory // MIB}m", *_JVM, "-cp", ".", file],
        lambda tools, file: [tools["javac"], "-J-XX:+UseSerialGC", "-J-XX:TieredStopAtLevel=1", "-nowarn", file],
        keep_endings=(".class",),
        beside=("conf", "lib"),
        own_address_space=False,
        overhead_bytes=256 * MIB,
    ),
    Language(
        "go",
        ("golang",),
        ("go",),
        "golang",
        lambda source: "main.go",
        lambda tools, file, memory: ["/tmp/main"],
        lambda tools, file: [tools["go"], "build", "-o", "main", file],
        keep=("main",),
        beside=("VERSION", "go.env", "pkg", "src"),
        own_address_space=False,
        overhead_bytes=32 * MIB,
    ),
    Language(
        "rust",
        ("rs",),
        ("rustc", "cc"),
        "rustc and a C compiler",
        lambda source: "main.rs",
        lambda tools, file, memory: ["/tmp/main"],
        lambda tools, file: [tools["rustc"], "--edition=2021", "-O", "-C", "debuginfo=0", "-o", "main", file],
        keep=("main",),
        beside=("lib",),
    ),
    Language(
        "bash",
        ("sh", "shell", "zsh"),
        ("bash",),
        "bash",
        lambda source: "main.sh",
        lambda tools, file, memory: [tools["bash"], file],
        lambda tools, file: [tools["bash"], "-n", file],
    ),
)
LANGUAGES = {language.name: language for language in _LANGUAGES}
NAMES = ("python", *LANGUAGES)

_PYTHON_FENCES = (
    "py",
    "python3",
    "python2",
    "py3",
    "python3.10",
    "python3.11",
    "python3.12",
    "pypy",
    "pypy3",
    "ipython",
)
_BY_FENCE = {
    **dict.fromkeys(("python", *_PYTHON_FENCES), "python"),
    **{fence: language.name for language in _LANGUAGES for fence in (language.name, *language.fences)},
}


def language_of(name: str) -> str | None:
    """Return the language that a fence or a data set calls by a name; `None` where it is none of ours."""
    name = name.strip().lower()
    return _BY_FENCE.get(name) or _BY_FENCE.get(re.sub(r"[-_ ]?[\d.]+\Z", "", name))  # of any version


@dataclass(frozen=True)
class Toolchain:
    """
    A language's tools on this machine.

    Args:
        paths (`dict[str, str]`):
            Path of each tool.
        places (`tuple[str, ...]`):
            Files and directories outside /usr that a jail must show for it.
    """

    paths: dict[str, str]
    places: tuple[str, ...]


@functools.lru_cache
def toolchain(name: str) -> Toolchain:
    """
    Find a language's tools.

    Raises:
        [`~errors.ConfigError`]: for a language that is not known.
        [`~errors.MachineError`]: where a tool is missing.
    """
    if name == "python":
        return Toolchain({}, ())
    if name not in LANGUAGES:
        raise ConfigError(f"expected languages among {', '.join(NAMES)}, got {name!r}", key="languages")
    language, paths, places = LANGUAGES[name], {}, []
    for tool in language.tools:
        found = shutil.which(tool)
        if found is None:
            raise MachineError(
                f"programs in {name} cannot be run: there is no `{tool}` on this machine. Expected {language.hint}"
            )
        paths[tool] = os.path.realpath(found) if tool not in ("cc", "rustc") else found
    if name == "rust":  # what stands in the path may be rustup, which chooses among several
        root = subprocess.run([paths["rustc"], "--print", "sysroot"], capture_output=True, text=True).stdout.strip()
        if not root:
            raise MachineError("programs in rust cannot be run: `rustc --print sysroot` says nothing")
        paths["rustc"] = str(Path(os.path.realpath(root), "bin", "rustc"))
    for path in map(Path, paths.values()):
        if path.is_relative_to("/usr") or path.is_relative_to("/bin"):
            continue
        # PREFIX/bin/tool: of a prefix, which may be a home, no more than the tool reads.
        beside = [path.parent.parent / part for part in LANGUAGES[name].beside]
        places += [str(path), *(str(part) for part in beside if part.exists()), *_libraries(path)]
    return Toolchain(paths, tuple(dict.fromkeys(places)))


def _libraries(path: Path) -> list[str]:
    """Return the shared libraries outside of the system's folders that a tool is linked to."""
    try:
        told = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
    except OSError:
        return []
    found = [os.path.normpath(one) for one in re.findall(r"=> (/\S+)", told)]
    return [one for one in found if not one.startswith(("/usr/", "/lib"))]


def environment(memory_bytes: int) -> dict[str, str]:
    """Return the environment of compilers and of the programs that they make."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "GOCACHE": "/tmp/.go",
        "GOFLAGS": "-p=1",
        "GO111MODULE": "off",
        "GOMEMLIMIT": str(memory_bytes),
        "OMP_NUM_THREADS": "1",
    }


def java_class(source: str) -> str:
    """Return the class to start: that with `main`, nested only where no other has one."""
    return _java_types(source)[1]


def without_package(source: str) -> str:
    """Return a Java program without its package: its classes lie in no folder of that name."""
    declared = _JAVA_PACKAGE.search(_JAVA_TEXT.sub(lambda text: " " * len(text[0]), source))
    return source if declared is None else source[: declared.start()] + source[declared.end() :]

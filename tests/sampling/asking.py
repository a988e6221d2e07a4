"""Asking an engine that takes requests one by one."""

from trl_r1.sampling import Request


def complete(engine, questions, n=1, seed=0):
    """Return `n` samples of each question; those of one question have seeds of their own."""
    requests = [Request(q, seed + n * i + j, (i, j)) for i, q in enumerate(questions) for j in range(n)]
    found = {request.of: sample for request, sample in engine.complete(iter(requests))}
    return [[found[i, j] for j in range(n)] for i in range(len(questions))]

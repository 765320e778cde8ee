"""Which backends answered: every public operation counts, for provenance and to see that nothing goes around it."""

import threading
from collections import Counter

_lock = threading.Lock()
_answers: Counter[tuple[str, str]] = Counter()


def note(operation: str, backend: str) -> None:
    """Count one answer of an operation; every public operation calls this once it has chosen its backend."""
    with _lock:
        _answers[operation, backend] += 1


def answers() -> Counter[tuple[str, str]]:
    """(operation, backend) -> how often it answered in this process so far."""
    with _lock:
        return _answers.copy()


def backends_since(before: Counter[tuple[str, str]]) -> set[str]:
    """Backends that answered since `answers()` gave `before`."""
    return {backend for _, backend in answers() - before}

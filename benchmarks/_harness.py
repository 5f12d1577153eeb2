"""Rounds; no process, file or clock.

Everything that is compared is measured in turn, in rounds: what else the machine does meanwhile
disturbs all of it alike. A ratio is taken within each round, and the median of these is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from supervisor._measure import median

__all__ = ["Samples", "interleave", "ratios", "repeat"]

# What one round of one candidate has measured: latencies, or one rate.
Samples = Sequence[float]


def ratios(candidate: Sequence[Samples], baseline: Sequence[Samples]) -> list[float]:
    """How many times the baseline's median the candidate's is, round by round."""
    return [median(mine) / median(other) for mine, other in zip(candidate, baseline, strict=True)]


def interleave(
    candidates: Mapping[str, Callable[[], Samples]],
    *,
    rounds: int,
    warmups: int = 1,
    progress: Callable[[int, int], object],
) -> dict[str, list[Samples]]:
    """Measure each candidate once a round.

    Every other round goes backwards, so that none of them always follows the same one.

    Args:
        candidates: by name, what measures it once.
        rounds: how many rounds count.
        warmups: how many rounds come before them, and do not count.
        progress: is told before each round, and at the end, how many of how many are done.

    Returns:
        By name, what each round has measured.
    """
    measured: dict[str, list[Samples]] = {name: [] for name in candidates}
    for number in range(warmups + rounds):
        progress(number, warmups + rounds)
        for name in sorted_for_round(list(candidates), number):
            samples = candidates[name]()
            if number >= warmups:
                measured[name].append(samples)
    progress(warmups + rounds, warmups + rounds)
    return measured


def sorted_for_round(names: Sequence[str], number: int) -> list[str]:
    """The order of this round: forwards, then backwards."""
    return list(names) if number % 2 == 0 else list(reversed(names))


def repeat(operation: Callable[[], object], count: int, clock: Callable[[], float]) -> Samples:
    """How long each of so many runs of the operation took."""
    samples = []
    for _ in range(count):
        began = clock()
        operation()
        samples.append(clock() - began)
    return samples

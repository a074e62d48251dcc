"""How many calls find a line: Erlang's loss formula, hosts for a peak, and what a burst does. Pure."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from voicectl.core.errors import UsageError

MOST_LINES: Final = 1_000_000
SHORT: Final = 0.1
"""Part of the calls that find all lines taken from which on the pool counts as short of lines."""
LONGEST_RECOVERY_S: Final = 86_400
MOST_A_STEP: Final = 0.4
"""Most that may happen in one step, on average, in any state."""


def blocking(erlangs: float, lines: int) -> float:
    """Return the part of Poisson calls that find all lines taken (Erlang B, by its stable recursion).

    B(0) = 1, B(n) = A·B(n−1) / (n + A·B(n−1)); Erlang, 1917; see Jagerman, BSTJ 53, 1974.
    """
    if erlangs <= 0:
        return 0.0 if lines else 1.0
    blocked = 1.0
    for line in range(1, lines + 1):
        blocked = erlangs * blocked / (line + erlangs * blocked)
    return blocked


def lines_for(erlangs: float, target: float) -> int:
    """Return the fewest lines with at most `target` of the calls blocked. Raises UsageError beyond a million."""
    if not 0 < target < 1:
        raise UsageError(
            f"a blocking of {target} is none: name a share between 0 and 1", hint="for example --blocking 1%"
        )
    blocked, lines = 1.0, 0
    while blocked > target and erlangs > 0:
        lines += 1
        blocked = erlangs * blocked / (lines + erlangs * blocked)
        if lines >= MOST_LINES:
            raise UsageError(f"{erlangs:.0f} calls at once need more than {MOST_LINES} lines")
    return lines


@dataclass(frozen=True, slots=True)
class Hosts:
    """Hosts for a peak: with all of them up, and so that any one may be lost (`spare` of them more)."""

    erlangs: float
    lines: int
    hosts: int
    hosts_with_loss: int
    blocking: float
    blocking_after_loss: float
    blocking_without_spare: float
    """Blocking of `hosts` when one of them is lost: why there is a spare."""


def hosts_for(erlangs: float, sessions_a_host: int, target: float) -> Hosts:
    """Return the hosts of `sessions_a_host` lines each that a peak needs. Raises UsageError.

    One pool is assumed: a call that finds a host full is sent to another (HAProxy with `maxconn`).
    """
    lines = lines_for(erlangs, target)
    hosts = max(1, math.ceil(lines / sessions_a_host))
    return Hosts(
        erlangs=erlangs,
        lines=lines,
        hosts=hosts,
        hosts_with_loss=hosts + 1,
        blocking=blocking(erlangs, hosts * sessions_a_host),
        blocking_after_loss=blocking(erlangs, hosts * sessions_a_host),
        blocking_without_spare=blocking(erlangs, (hosts - 1) * sessions_a_host),
    )


@dataclass(frozen=True, slots=True)
class Burst:
    """What happens when traffic is `factor` times as high for `lasting_s`, from one second to the next.

    `full_after_s` is when a tenth of the calls finds no line (None: never), counts are of calls on average,
    `recovered_s` how long after the end of the burst no more calls wait or are refused than before it.
    """

    factor: float
    lasting_s: float
    full_after_s: float | None
    offered: float
    waited: float
    refused: float
    refused_share: float
    longest_wait_s: float
    recovered_s: float


def burst(
    erlangs: float,
    handle_s: float,
    lines: int,
    *,
    factor: float = 2.0,
    lasting_s: float = 300.0,
    waiting: int = 8,
    waiting_s: float = 5.0,
) -> Burst:
    """Return what a burst does to a pool of `lines` in equilibrium at `erlangs`.

    The distribution of live calls is carried through time exactly (a birth–death chain, M/M/c/c+q with calls that
    give up after `waiting_s` on average), second by second.
    """
    pool = _Pool(handle_s, lines, waiting, waiting_s)
    usual = erlangs / handle_s
    pool.settle(usual)
    full_before = pool.full_share()
    full_after: float | None = None
    for second in range(1, math.ceil(lasting_s) + 1):
        pool.pass_second(factor * usual)
        if full_after is None and pool.full_share() >= SHORT:
            full_after = float(second)
    offered, waited, refused, longest_s = pool.offered, pool.waited, pool.refused, pool.longest_wait_s
    recovered = 0
    while pool.full_share() > max(2 * full_before, 0.01) and recovered < LONGEST_RECOVERY_S:
        pool.pass_second(usual)
        recovered += 1
    return Burst(
        factor=factor,
        lasting_s=lasting_s,
        full_after_s=full_after,
        offered=offered,
        waited=waited,
        refused=refused,
        refused_share=refused / offered if offered else 0.0,
        longest_wait_s=longest_s,
        recovered_s=float(recovered),
    )


class _Pool:
    """The probabilities of every number of calls present: up to `lines` live ones, and some that wait."""

    def __init__(self, handle_s: float, lines: int, waiting: int, waiting_s: float) -> None:
        self._lines = lines
        present = np.arange(lines + waiting + 1)
        self._live = np.minimum(present, lines)
        self._queued = present - self._live
        self._given_up = self._queued / waiting_s
        self._leaving = self._live / handle_s + self._given_up
        self._waiting_s, self._handle_s = waiting_s, handle_s
        self._states = np.zeros(present.size)
        self.offered = self.waited = self.refused = self.longest_wait_s = 0.0

    def settle(self, rate: float) -> None:
        """Go to the equilibrium at an arrival rate: detailed balance, in logarithms."""
        steps = np.log(max(rate, 1e-12)) - np.log(self._leaving[1:])
        logs = np.concatenate(([0.0], np.cumsum(steps)))
        weights = np.exp(logs - logs.max())
        self._states = weights / weights.sum()

    def full_share(self) -> float:
        """Return the probability that a call finds all lines taken."""
        return float(self._states[self._lines :].sum())

    def pass_second(self, rate: float) -> None:
        """Let a second pass at an arrival rate, in steps in which little happens (explicit Euler, stable)."""
        num_steps = max(1, math.ceil((rate + float(self._leaving.max())) / MOST_A_STEP))
        step_s = 1.0 / num_steps
        for _ in range(num_steps):
            states = self._states
            up, down = rate * step_s * states, self._leaving * step_s * states
            up[-1] = 0.0
            self.offered += rate * step_s
            self.waited += float(up[self._lines :].sum())
            self.refused += rate * step_s * float(states[-1]) + float(self._given_up @ states) * step_s
            states = states - up - down
            states[1:] += up[:-1]
            states[:-1] += down[1:]
            self._states = states
        queued = float(self._queued @ self._states)
        self.longest_wait_s = max(self.longest_wait_s, min(self._waiting_s, queued * self._handle_s / self._lines))

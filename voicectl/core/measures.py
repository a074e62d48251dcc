"""What an overloaded appliance leaves out. The order of the steps is `service`'s business."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measures:
    """What is left out at present; by default nothing.

    `partials` allows partial transcripts at all, `partial_interval_factor` stretches the time between
    them, `reply_tokens_factor` shortens replies, `smaller_model` asks for the fallback models.
    `level` counts the steps taken, `names` says them for people, `reason` is what asked for them.
    """

    level: int = 0
    names: tuple[str, ...] = ()
    reason: str = ""
    partials: bool = True
    partial_interval_factor: float = 1.0
    reply_tokens_factor: float = 1.0
    smaller_model: bool = False

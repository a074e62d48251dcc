"""Count leaked card numbers and falsely redacted ordinary numbers over generated calls.

    python scripts/check_redaction.py --n 100000

The generator and the judge of leaks (`tests/fakes/spoken_cards.py`, `tests/fakes/leaks.py`) share no code with the
detector. Everything is judged that could ever have reached a disk: what was returned at once, every revision, and the
last version. Exits 1 when a number leaked or the falsely redacted are above the bar.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.fakes.ordinary_numbers import ordinary_call
from tests.fakes.redaction_trial import falsely_redacted, leak_of
from tests.fakes.spoken_cards import SpokenCall, spoken_card
from voicectl.governance.redact.redactor import PolicyRedactor

BAR_FALSE = 0.005


def count_leaks(redactor: PolicyRedactor, calls: list[SpokenCall], show: int) -> int:
    """Return in how many calls a card number leaked, and show the first ones."""
    leaks = 0
    for call in calls:
        leak = leak_of(redactor, call)
        if leak is not None:
            leaks += 1
            if leaks <= show:
                sys.stderr.write(f"LEAK {call.card}: {leak}\n  {call.texts}\n")
    return leaks


def main() -> int:
    """Run both trials and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20_000, help="card numbers, and ordinary numbers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5, help="examples of each failure")
    parser.add_argument("--show-held-out", type=int, default=0, help="examples of failures that nobody should fit to")
    arguments = parser.parse_args()
    redactor = PolicyRedactor()
    rng = random.Random(arguments.seed)  # noqa: S311 - a trial, no secret
    began = time.process_time()
    leaks = count_leaks(redactor, [spoken_card(rng) for _ in range(arguments.n)], arguments.show)
    held_out = [spoken_card(rng, held_out=True) for _ in range(arguments.n // 4)]
    held_out_leaks = count_leaks(redactor, held_out, arguments.show_held_out)
    numbers = false = shown = 0
    while numbers < arguments.n:
        call = ordinary_call(rng)
        numbers += len(call.numbers)
        wrong = falsely_redacted(redactor, call)
        false += len(wrong)
        for number, text in wrong:
            if shown < arguments.show:
                shown += 1
                sys.stderr.write(f"FALSE {number!r}: {text!r}\n  {call.texts}\n")
    result = {
        "seed": arguments.seed,
        "cards": arguments.n,
        "leaked": leaks,
        "held_out_cards": len(held_out),
        "held_out_leaked": held_out_leaks,
        "ordinary_numbers": numbers,
        "falsely_redacted": false,
        "falsely_redacted_share": round(false / numbers, 6),
        "cpu_s": round(time.process_time() - began, 1),
    }
    sys.stdout.write(json.dumps(result) + "\n")
    return 1 if leaks or false / numbers >= BAR_FALSE else 0


if __name__ == "__main__":
    sys.exit(main())

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
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.fakes.redaction_trial import falsely_redacted, leak_of
from tests.fakes.spoken_cards import ordinary_call, spoken_card
from voicectl.governance.redact.redactor import PolicyRedactor

BAR_FALSE = 0.005


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20_000, help="card numbers, and ordinary numbers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5, help="examples of each failure")
    arguments = parser.parse_args()
    redactor = PolicyRedactor()
    rng = random.Random(arguments.seed)
    began = time.process_time()
    leaks = 0
    for _ in range(arguments.n):
        call = spoken_card(rng)
        leak = leak_of(redactor, call)
        if leak is not None:
            leaks += 1
            if leaks <= arguments.show:
                print(f"LEAK {call.card}: {leak}\n  {call.texts}", file=sys.stderr)
    numbers = false = shown = 0
    kinds: Counter[str] = Counter()
    while numbers < arguments.n:
        call = ordinary_call(rng)
        numbers += len(call.numbers)
        wrong = falsely_redacted(redactor, call)
        false += len(wrong)
        for number, text in wrong:
            kinds[text] += 1
            if shown < arguments.show:
                shown += 1
                print(f"FALSE {number!r}: {text!r}\n  {call.texts}", file=sys.stderr)
    result = {
        "seed": arguments.seed,
        "cards": arguments.n,
        "leaked": leaks,
        "ordinary_numbers": numbers,
        "falsely_redacted": false,
        "falsely_redacted_share": round(false / numbers, 6),
        "cpu_s": round(time.process_time() - began, 1),
    }
    print(json.dumps(result))
    return 1 if leaks or false / numbers >= BAR_FALSE else 0


if __name__ == "__main__":
    sys.exit(main())

"""Names of the metrics that alert rules read, and what each counts. Exports none of them.

A call counts once, when it ended the `max_staleness` of the policy ago, whether or not it was scored.
"""

from typing import Final

LATENCY: Final = "voicectl_answer_latency_seconds"
"""Histogram of v2v without the network, of every turn."""
CONTAINMENT: Final = "voicectl_calls_containment_total"
"""Counter of calls; labels use_case, tier, contained (yes, no, unknown)."""
COMPLIANCE: Final = "voicectl_calls_compliance_total"
"""Counter of calls; labels use_case, tier, flagged (yes, no, unknown)."""
TRANSFERS: Final = "voicectl_warm_transfers_total"
"""Counter of attempted transfers; labels use_case, tier, warm (yes, no, unknown)."""
WORDS: Final = "voicectl_wer_words_total"
"""Counter of words of references; labels use_case, tier."""
WORD_ERRORS: Final = "voicectl_wer_errors_total"
"""Counter of substitutions, deletions and insertions against them; labels use_case, tier."""
TO_EXPORT: Final = {
    CONTAINMENT: ("use_case", "tier", "contained"),
    COMPLIANCE: ("use_case", "tier", "flagged"),
    TRANSFERS: ("use_case", "tier", "warm"),
    WORDS: ("use_case", "tier"),
    WORD_ERRORS: ("use_case", "tier"),
}
"""Metrics that the service exports from folded calls, with their labels."""

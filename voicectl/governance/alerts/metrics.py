"""Names of the metrics that alert rules read, and what each counts. Exports none of them.

A call counts once, when it ended the `max_staleness` of the policy ago, whether or not it was scored.
"""

from typing import Final

LATENCY: Final = "voicectl_answer_latency_seconds"
"""Histogram of v2v without the network, of every turn."""
LATENCY_EDGES_S: Final = (
    *(0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    *(1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 3.5, 5.0, 10.0),
)
"""Its edges: the service levels (0.5 s, and those of 4, 8 and 16 calls) and the alert thresholds, P90 3.5 s, P99 5 s.

An alert at or above the last one could never fire, one below the first never rest.
"""
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
SERVED_SINCE: Final = "voicectl_use_case_served_since_seconds"
"""Gauge: the start of the first call of a use case, Unix seconds; labels use_case, tier. None before that call."""
TO_EXPORT: Final = {
    CONTAINMENT: ("use_case", "tier", "contained"),
    COMPLIANCE: ("use_case", "tier", "flagged"),
    TRANSFERS: ("use_case", "tier", "warm"),
    WORDS: ("use_case", "tier"),
    WORD_ERRORS: ("use_case", "tier"),
}
"""Counters that the service exports from folded calls, with their labels."""

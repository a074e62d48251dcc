"""Word error rate of what was understood against what was said. Knows texts; the normaliser is Whisper's."""

from collections.abc import Iterable

from voicectl.bench.run_record import TurnSample


def word_error_rate(turns: Iterable[TurnSample]) -> float | None:
    """Return errors by words of the references over all turns that have both texts; None when there is none.

    An empty transcript counts as every word deleted. Both texts pass Whisper's English normaliser first.
    """
    # Both load tables of spellings: not for a command that has no transcripts to judge.
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    normalise = EnglishTextNormalizer()
    pairs = [
        (normalise(turn.reference), normalise(turn.transcript))
        for turn in turns
        if turn.reference is not None and turn.transcript is not None
    ]
    pairs = [(said, heard) for said, heard in pairs if said.strip()]
    if not pairs:
        return None
    return float(jiwer.wer([said for said, _ in pairs], [heard for _, heard in pairs]))

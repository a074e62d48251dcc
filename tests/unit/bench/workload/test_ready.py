"""Scripts of calls: drawn from the seed and the call's number alone."""

from dataclasses import replace

from voicectl.bench.workload.ready import ReadyConversation, ReadyTurn, ReadyWorkload, script_of

TURN = ReadyTurn("hello", "speech", 0, 1.0, pause_s=1.0, pause_spread_s=0.5)
WORKLOAD = ReadyWorkload(
    "mine", "", (ReadyConversation("often", 3.0, (TURN, TURN)), ReadyConversation("seldom", 1.0, (TURN,))), ()
)


def test_script_depends_on_seed_and_number_alone() -> None:
    scripts = [script_of(WORKLOAD, 1, call) for call in range(50)]
    assert scripts == [script_of(WORKLOAD, 1, call) for call in range(50)]
    assert scripts != [script_of(WORKLOAD, 2, call) for call in range(50)]


def test_conversations_come_by_their_weights() -> None:
    drawn = [script_of(WORKLOAD, 1, call).conversation.name for call in range(2_000)]
    assert abs(drawn.count("often") - 1_500) <= 5


def test_few_calls_are_dealt_all_conversations() -> None:
    kinds = tuple(ReadyConversation(f"kind-{number}", 1.0, (TURN,)) for number in range(4))
    workload = replace(WORKLOAD, conversations=kinds)
    for seed in range(50):
        dealt = [script_of(workload, seed, call).conversation.name for call in range(8)]
        assert set(dealt) == {one.name for one in kinds}
        assert max(dealt.count(one.name) for one in kinds) <= 3


def test_pauses_spread_evenly_around_what_was_asked_for() -> None:
    pauses = [pause for call in range(500) for pause in script_of(WORKLOAD, 1, call).pauses_s]
    assert 0.5 <= min(pauses) < 0.55
    assert 1.45 < max(pauses) <= 1.5


def test_pause_is_never_negative() -> None:
    eager = replace(TURN, pause_s=0.1, pause_spread_s=1.0)
    workload = replace(WORKLOAD, conversations=(ReadyConversation("one", 1.0, (eager,) * 50),))
    assert min(script_of(workload, 1, 0).pauses_s) == 0.0


def test_longest_call_counts_words_and_longest_pauses() -> None:
    assert WORKLOAD.longest_call_s == 0.5 + 2 * (1.0 + 1.5)
    assert WORKLOAD.most_turns == 2

"""One computes at a time, the most urgent first."""

import threading

from voicectl.engine.tts.turnstile import Rank, Turnstile


def test_those_who_wait_go_in_order_of_rank() -> None:
    turnstile = Turnstile()
    order: list[Rank] = []
    ranks: list[Rank] = [(0, 2.5, 1), (1, 0.0, 2), (0, 0.0, 4), (0, 0.0, 3)]

    def wait(rank: Rank) -> None:
        with turnstile.turn(rank):
            order.append(rank)

    threads = [threading.Thread(target=wait, args=(rank,)) for rank in ranks]
    with turnstile.turn((0, 0.0, 0)):
        for thread in threads:
            thread.start()
        give_up = threading.Event()
        while turnstile.waiting() < len(ranks):
            give_up.wait(0.001)
    for thread in threads:
        thread.join(5)
    assert order == sorted(ranks)


def test_a_failure_inside_frees_the_turnstile() -> None:
    turnstile = Turnstile()
    try:
        with turnstile.turn((0, 0.0, 1)):
            raise ValueError("inside")
    except ValueError:
        pass
    with turnstile.turn((0, 0.0, 2)):
        assert turnstile.waiting() == 0

"""Events of a play add up to the state of every host; no host is done by default."""

from typing import Any

from voicectl.provision.events import Phase, PlayEvent
from voicectl.provision.progress import KEY_FILE_TASK, Progress


def played(*events: PlayEvent, hosts: tuple[str, ...] = ("a", "b")) -> Progress:
    progress = Progress.of(hosts)
    for at, event in enumerate(events):
        progress.apply(event, float(at))
    return progress


def phase(name: str, number: int) -> PlayEvent:
    return PlayEvent("phase_began", phase=Phase(name, number))


def ended(host: str, **more: Any) -> PlayEvent:
    return PlayEvent("task_ended", host=host, task=more.pop("task", "Do"), **more)


def stats(**counts: dict[str, int]) -> PlayEvent:
    return PlayEvent("play_ended", stats=counts)


def test_hosts_that_got_to_the_end_are_done() -> None:
    progress = played(phase("look", 1), ended("a", changed=True), ended("b"), stats(ok={"a": 1, "b": 1}))
    progress.finish(successful=True)
    assert [host.state for host in progress.hosts.values()] == ["done", "done"]
    assert progress.hosts["a"].num_changed == 1
    assert progress.exit_code() == 0


def test_host_that_no_event_spoke_of_has_failed() -> None:
    progress = played(ended("a"), stats(ok={"a": 1}))
    progress.finish(successful=True)
    assert progress.hosts["b"].state == "failed"
    assert progress.exit_code() == 6


def test_run_that_broke_off_without_counts_has_failed_everywhere() -> None:
    progress = played(phase("look", 1), ended("a"), ended("b"))
    progress.finish(successful=False, tail=("Killed",))
    assert progress.exit_code() == 6
    assert progress.failures()[0].log == ("Killed",)


def test_failure_knows_the_phase_it_happened_in() -> None:
    progress = played(
        phase("look", 1),
        phase("copy", 2),
        PlayEvent("task_failed", host="a", task="Copy", result={"msg": "no"}),
        stats(ok={"b": 1}, failures={"a": 1}),
    )
    progress.finish(successful=False)
    failure = progress.hosts["a"].failure
    assert failure is not None
    assert failure.phase == Phase("copy", 2)
    assert progress.hosts["b"].state == "done"


def test_ignored_and_rescued_failures_are_none() -> None:
    lost = PlayEvent("task_failed", host="a", task="Try", result={"msg": "no"})
    ignored = PlayEvent("task_failed", host="b", task="Try", ignored=True, result={"msg": "no"})
    progress = played(lost, ignored, stats(ok={"a": 3, "b": 2}, rescued={"a": 1}, ignored={"b": 1}))
    progress.finish(successful=True)
    assert progress.exit_code() == 0


def test_unreachable_host_among_others_is_the_exit_code() -> None:
    gone = PlayEvent("host_unreachable", host="b", result={"msg": "Connection refused"})
    progress = played(ended("a"), gone, stats(ok={"a": 1}, dark={"b": 1}))
    progress.finish(successful=False)
    assert progress.exit_code() == 7


def test_exit_code_that_a_play_sets_is_that_of_its_next_failure() -> None:
    fact = ended("a", result={"ansible_facts": {"voicectl_exit_code": 8}})
    stop = PlayEvent("task_failed", host="a", task="Stop", result={"msg": "reboot"})
    progress = played(fact, stop, stats(failures={"a": 1}), hosts=("a",))
    progress.finish(successful=False)
    assert progress.exit_code() == 8


def test_key_file_counts_only_where_it_was_made() -> None:
    progress = played(ended("a", task=f"service : {KEY_FILE_TASK}", changed=True), ended("b", task=KEY_FILE_TASK))
    assert progress.hosts["a"].has_key_file
    assert not progress.hosts["b"].has_key_file


def test_what_commands_print_is_kept_by_host() -> None:
    progress = played(ended("a", result={"cmd": "x", "stdout": "{}"}), ended("b", result={}))
    assert [event.result["stdout"] for event in progress.outputs["a"]] == ["{}"]
    assert "b" not in progress.outputs

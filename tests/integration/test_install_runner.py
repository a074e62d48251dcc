"""Real plays on this machine: what Ansible is told, what it may see, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from voicectl.core.errors import ConfigError
from voicectl.provision.events import PlayEvent
from voicectl.provision.hosts import local_host, parse_host
from voicectl.provision.needs import Needs
from voicectl.provision.preflight import judge, look_at_hosts
from voicectl.provision.progress import Progress
from voicectl.provision.runner import Session
from voicectl.provision.ssh import SshOptions

pytestmark = pytest.mark.integration

SECRET = "s3cr3t-of-a-test"
HEAD = '- name: "phase 1: try"\n  hosts: all\n  gather_facts: false\n  tasks:\n'
SLEEP = HEAD + "    - name: Sleep\n      ansible.builtin.command: sleep 300\n"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path / "run", SshOptions(connect_timeout_s=3)) as session:
        yield session


def playbook(folder: Path, text: str) -> Path:
    path = folder / "plays" / "try.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_play_tells_phases_tasks_and_what_commands_print(session: Session, tmp_path: Path) -> None:
    text = HEAD + (
        "    - name: Say it\n      ansible.builtin.command: echo {{ word }}\n"
        "    - name: Break\n      ansible.builtin.fail:\n        msg: it is full\n"
    )
    progress = Progress.of(["localhost"])
    end = session.play(
        playbook(tmp_path, text), [local_host()], {"word": "hello"}, on_event=lambda event: progress.apply(event, 0.0)
    )
    progress.finish(successful=end.successful)
    assert not end.successful
    assert progress.outputs["localhost"][0].result["stdout"] == "hello"
    failure = progress.hosts["localhost"].failure
    assert failure is not None
    assert (failure.task, failure.phase and failure.phase.name, failure.message) == ("Break", "try", "it is full")


def test_ansible_sees_nothing_of_the_operators_own_settings(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ansible/collections/ansible_collections/mine/own/plugins/modules").mkdir(parents=True)
    (home / ".ansible/collections/ansible_collections/mine/own/plugins/modules/x.py").write_text("x")
    before = sorted(home.rglob("*"))
    broken = "[defaults]\nstdout_callback = nobody_has_this\nstrategy = nobody_has_this\n"
    (home / ".ansible.cfg").write_text(broken)
    path = playbook(tmp_path, HEAD + "    - name: Say it\n      ansible.builtin.command: env\n")
    (path.parent / "ansible.cfg").write_text(broken)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ANSIBLE_STRATEGY", "nobody_has_this")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(home))
    monkeypatch.setenv("ANSIBLE_CALLBACKS_ENABLED", "nobody_has_this")
    monkeypatch.chdir(path.parent)
    seen: list[PlayEvent] = []
    end = session.play(path, [local_host()], {}, on_event=seen.append)
    assert end.successful, end.tail
    environment = next(str(event.result["stdout"]) for event in seen if "stdout" in event.result)
    assert "nobody_has_this" not in environment
    assert sorted(path for path in home.rglob("*") if path.name != ".ansible.cfg") == before
    foreign = playbook(tmp_path, HEAD + "    - name: Foreign\n      mine.own.x:\n")
    assert not session.play(foreign, [local_host()], {}, on_event=seen.append).successful


def test_variables_are_on_no_command_line_and_in_no_file_for_others(session: Session, tmp_path: Path) -> None:
    path = playbook(tmp_path, HEAD + "    - name: Say it\n      ansible.builtin.command: 'true'\n")
    lines: list[bytes] = []
    modes: dict[str, int] = {}

    def look(_event: PlayEvent) -> None:
        parents = psutil.Process(int(session.pid_file.read_text()))
        for process in (parents, *parents.children(recursive=True)):
            lines.append(Path(f"/proc/{process.pid}/cmdline").read_bytes())
        for place in session.folder.rglob("*"):
            if place.is_file() and SECRET.encode() in place.read_bytes():
                modes[place.name] = place.stat().st_mode & 0o777

    host = parse_host("127.0.0.1").having(ansible_connection="local", ansible_become_password=SECRET)
    end = session.play(path, [host], {"password": SECRET}, on_event=look)
    assert end.successful
    assert lines
    assert not any(SECRET.encode() in line for line in lines)
    assert modes == {"hosts.json": 0o600, "extravars": 0o600}
    assert {place.stat().st_mode & 0o077 for place in [session.folder, *session.folder.glob("run-*")]} == {0}


def test_first_interrupt_lets_ansible_end_and_nothing_runs_on(session: Session, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    started: list[int] = []
    told: list[str] = []

    def received(event: PlayEvent) -> None:
        if event.kind == "task_began":
            started.append(int(session.pid_file.read_text()))

    def ticked() -> None:
        # The task is under way when its command is.
        sleepers = [child for pid in started for child in children(pid) if child.name() == "sleep"]
        if sleepers and not told:
            os.kill(os.getpid(), signal.SIGINT)

    end = session.play(
        playbook(tmp_path, SLEEP),
        [local_host()],
        {},
        on_event=received,
        on_tick=ticked,
        on_interrupt=lambda: told.append("asked"),
    )
    assert end.interrupted
    assert told == ["asked"]
    assert not psutil.pid_exists(started[0])
    assert signal.getsignal(signal.SIGINT) is before


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def test_killed_operator_leaves_no_ansible_behind(tmp_path: Path) -> None:
    path = playbook(tmp_path, SLEEP)
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from voicectl.provision.hosts import local_host\nfrom voicectl.provision.runner import Session\n"
        "from voicectl.provision.ssh import SshOptions\n"
        "with Session(Path(sys.argv[1]), SshOptions()) as session:\n"
        "    session.play(Path(sys.argv[2]), [local_host()], {},\n"
        "        on_event=lambda event: print(session.pid_file.read_text().strip(), event.kind, flush=True))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run"), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as operator:
        assert operator.stdout is not None
        line = next(line for line in operator.stdout if "task_began" in line)
        ansible = psutil.Process(int(line.split()[0]))
        operator.kill()
    ansible.wait(timeout=20)
    assert not ansible.is_running()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_every_host_is_looked_at_though_some_cannot_be_reached(session: Session) -> None:
    hosts = [local_host(), parse_host(f"root@127.0.0.1:{free_port()}"), parse_host("nobody.invalid")]
    reports = [judge(look, Needs()) for look in look_at_hosts(session, hosts)]
    assert [report.host for report in reports] == ["localhost", "127.0.0.1", "nobody.invalid"]
    assert reports[0].facts is not None
    assert [report.exit_code for report in reports[1:]] == [7, 7]
    assert "Connection refused" in str(reports[1].failure)
    assert "name cannot be resolved" in str(reports[2].failure)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hosts.ini", "gw1 ansible_host=10.0.0.5\n\n[edge]\ngw2\n\n[edge:vars]\nansible_user=ops\n"),
        (
            "hosts.yml",
            "all:\n  hosts:\n    gw1: {ansible_host: 10.0.0.5}\n  children:\n    edge:\n      hosts:\n        gw2:\n"
            "      vars: {ansible_user: ops}\n",
        ),
    ],
)
def test_inventory_is_read_as_ansible_reads_it(session: Session, tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    variables = session.list_inventory(path)["_meta"]["hostvars"]
    assert variables == {"gw1": {"ansible_host": "10.0.0.5"}, "gw2": {"ansible_user": "ops"}}


def test_inventory_that_is_a_program_is_not_run(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "hosts.sh"
    path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\necho '{{}}'\n")
    path.chmod(0o755)
    with pytest.raises(ConfigError, match=r"hosts\.sh"):
        session.list_inventory(path)
    assert not (tmp_path / "ran").exists()


def test_broken_inventory_is_refused_with_its_cause(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text("all: [1\n- x")
    with pytest.raises(ConfigError, match=r"hosts\.yml: .*YAML"):
        session.list_inventory(path)

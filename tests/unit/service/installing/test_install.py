"""The flow of an installation with a runner that plays what a host would answer: what goes in, what comes out."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.small_bundle import make_bundle
from voicectl.provision.events import PlayEvent
from voicectl.provision.hosts import Host, parse_host
from voicectl.provision.journal import Journal
from voicectl.provision.needs import EARLIEST_CLOCK
from voicectl.provision.operation import Operation
from voicectl.provision.progress import KEY_FILE_TASK
from voicectl.provision.runner import PlayEnd
from voicectl.service.access.keys import KeyDocument
from voicectl.service.installing.install import InstallOutcome, InstallRequest, install
from voicectl.weights.bundle.verify import VerifiedBundle

GIB = 1 << 30
FIT: dict[str, Any] = {
    "schema": 1,
    "python": "3.11.2",
    "euid": 0,
    "clock": {"now": EARLIEST_CLOCK},
    "system": {"id": "debian", "version": "12", "arch": "x86_64", "has_systemd": True},
    "cpu": {"flags": ["avx2"], "cores": 4},
    "memory": {"total_bytes": 16 * GIB},
    "disks": {folder: {"device": 1, "free_bytes": 50 * GIB} for folder in ("/opt", "/var/lib", "/root")},
}


@dataclass
class FakeSession:
    """Plays facts first, then an installation in which hosts make their key file or have one."""

    facts: Mapping[str, Any]
    makes_key_file: bool = True
    fails: bool = False
    played: list[tuple[str, Sequence[Host], Mapping[str, Any]]] = field(default_factory=list)

    def play(
        self,
        playbook: Path,
        hosts: Sequence[Host],
        variables: Mapping[str, Any],
        *,
        on_event: Callable[[PlayEvent], None],
        **_more: Any,
    ) -> PlayEnd:
        self.played.append((playbook.name, hosts, variables))
        names = [host.name for host in hosts]
        if playbook.name == "facts.yml":
            # The clock of the host is ours, so that the check of clocks has nothing to say.
            for name in names:
                facts = {**self.facts, "clock": {"now": time.time()}}
                on_event(PlayEvent("task_ended", host=name, task="Collect", result={"stdout": json.dumps(facts)}))
            return PlayEnd(0, False, ())
        for name in names:
            on_event(PlayEvent("task_ended", host=name, task=KEY_FILE_TASK, changed=self.makes_key_file))
            if self.fails:
                on_event(PlayEvent("task_failed", host=name, task="Go on", result={"msg": "it is full"}))
        counts = dict.fromkeys(names, 1)
        on_event(PlayEvent("play_ended", stats={"failures" if self.fails else "ok": counts}))
        return PlayEnd(2 if self.fails else 0, False, ())


class Silent:
    """A listener that says nothing."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_arguments: None


@dataclass
class Site:
    """An operator's folder with a bundle and one host."""

    folder: Path
    bundle: VerifiedBundle
    session: FakeSession

    def install(self, **said: Any) -> InstallOutcome:
        request = InstallRequest(said.pop("command", "install"), self.bundle.path, self.folder / "signers", **said)
        work = Operation(
            "install",
            "r1",
            (parse_host("root@gw1"),),
            self.session,  # type: ignore[arg-type] # a fake of the one method that is used
            Journal(self.folder / "state"),
            self.folder,
        )
        return install(request, self.bundle, work, self.folder / "cache", Silent())  # type: ignore[arg-type]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    manifest = make_bundle(tmp_path / "x.vcb")
    return Site(tmp_path, VerifiedBundle(tmp_path / "x.vcb", manifest, manifest.digest, "me"), FakeSession(FIT))


def test_fit_host_is_installed_with_the_playbook_of_the_bundle(site: Site) -> None:
    outcome = site.install(port=9000, allow_from=("10.0.0.0/8",))
    assert outcome.result is not None
    assert outcome.result.exit_code == 0
    name, hosts, variables = site.session.played[-1]
    assert name == "install.yml"
    assert Path(variables["voicectl_bundle_dir"], "playbooks", name).is_file()
    assert Path(variables["voicectl_release_program"]).name == "release.pyz"
    assert variables["voicectl_release_id"] == site.bundle.release_id
    assert (variables["voicectl_port"], variables["voicectl_allow_from"]) == (9000, ["10.0.0.0/8"])
    assert hosts[0].variables["voicectl_profile"] == "cpu"
    assert variables["voicectl_tainted"] is False


def test_first_key_is_shown_once_and_only_its_hash_travels(site: Site) -> None:
    outcome = site.install()
    key = outcome.keys["gw1"]
    secret = key.split("_", 2)[2]
    _, hosts, variables = site.session.played[-1]
    document = hosts[0].variables["voicectl_keys_document"]
    (kept,) = KeyDocument.model_validate(document).keys
    assert kept.matches(secret)
    travelled = json.dumps([dict(hosts[0].variables), dict(variables)])
    assert secret not in travelled
    assert secret not in Journal(site.folder / "state").path.read_text()


def test_host_that_has_keys_keeps_them_and_no_key_is_shown(site: Site) -> None:
    site.session.makes_key_file = False
    assert site.install().keys == {}


def test_key_of_a_host_that_fails_later_is_shown_all_the_same(site: Site) -> None:
    site.session.fails = True
    outcome = site.install()
    assert outcome.result is not None
    assert outcome.result.exit_code == 6
    assert set(outcome.keys) == {"gw1"}


def test_nothing_is_played_on_hosts_that_are_not_fit(site: Site) -> None:
    site.session.facts = {**FIT, "euid": 1000}
    outcome = site.install()
    assert outcome.result is None
    assert outcome.refusal is not None
    assert outcome.refusal.exit_code == 3
    assert [name for name, _, _ in site.session.played] == ["facts.yml"]


def recorded(**settings: Any) -> dict[str, Any]:
    return {**FIT, "installed": {"release": "old-1", "state": None, "settings": settings}}


def test_settings_that_are_not_said_again_are_those_on_record(site: Site) -> None:
    site.session.facts = recorded(port=9000, allow_from=["10.0.0.0/8"], profile="cpu", bind_host="", settings={})
    site.install(command="install")
    _, hosts, variables = site.session.played[-1]
    assert hosts[0].variables["voicectl_port"] == 9000
    assert hosts[0].variables["voicectl_allow_from"] == ["10.0.0.0/8"]
    assert "voicectl_port" not in variables
    assert "voicectl_allow_from" not in variables


def test_setting_that_is_said_goes_before_the_one_on_record(site: Site) -> None:
    site.session.facts = recorded(port=9000)
    site.install(port=9001)
    assert site.session.played[-1][2]["voicectl_port"] == 9001


def test_port_on_record_is_the_one_that_must_be_free(site: Site) -> None:
    taken = [{"address": "0.0.0.0", "port": 9000, "program": "nginx", "unit": "nginx.service"}]
    site.session.facts = {**recorded(port=9000), "listeners": taken}
    outcome = site.install()
    assert [finding.name for finding in outcome.reports[0].refusals] == ["port"]


def test_check_keeps_no_journal_and_shows_no_key(site: Site) -> None:
    outcome = site.install(check=True)
    assert outcome.keys == {}
    assert not (site.folder / "state").exists()

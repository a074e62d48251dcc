"""An uninstallation leaves a host as it was, but for what its owner wants to keep."""

import pytest

from tests.hosts.calls import ask
from tests.hosts.conftest import OPTIONS, Guests, Installed
from tests.hosts.looking import accounts, is_ready, leftovers, own_files, packages
from tests.hosts.machine import Machine

KEPT = ("/etc/voicectl", "/var/lib/voicectl")
"""What may stay without --purge: configuration with keys, and data."""


@pytest.fixture
def booted(new_guest: Guests, installed: Installed) -> Machine:
    machine = new_guest(installed.image)
    machine.boot()
    return machine


@pytest.mark.parametrize("purge", [False, True], ids=["keeping-data", "purging"])
def test_uninstall_leaves_nothing_but_data(booted: Machine, installed: Installed, purge: bool) -> None:
    options = ["--purge"] if purge else []
    installed.operator.on("uninstall", [booted], *options).succeeded()
    assert not is_ready(booted)
    assert leftovers(booted) == ""
    more = own_files(booted) - installed.files_before
    kept = {path for path in more if path.startswith(KEPT)}
    assert more - kept == set()
    if purge:
        assert kept == set()
        assert "voicectl" not in accounts(booted)
    else:
        assert "/etc/voicectl/keys.json" in kept
        assert any(path.startswith("/var/lib/voicectl/") for path in kept)
    assert "nftables" in packages(booted)
    again = installed.operator.on("uninstall", [booted], *options).succeeded()
    assert again.host(booted)["changed"] == 0


@pytest.mark.campaign
def test_host_can_be_installed_again_with_its_keys(booted: Machine, installed: Installed) -> None:
    installed.operator.on("uninstall", [booted]).succeeded()
    installed.operator.install(installed.bundle, [booted], *OPTIONS).succeeded()
    assert ask(booted, installed.question, installed.api_key).reply

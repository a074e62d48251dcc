"""Hosts as operators write them become what Ansible needs; what cannot be meant is refused."""

import pytest

from voicectl.core.errors import ConfigError, UsageError
from voicectl.provision.hosts import (
    Host,
    inventory_document,
    listed_hosts,
    local_host,
    parse_host,
    parse_hosts,
)


@pytest.mark.parametrize(
    ("text", "name", "variables"),
    [
        ("gw1", "gw1", {"ansible_host": "gw1"}),
        ("root@10.0.0.5", "10.0.0.5", {"ansible_host": "10.0.0.5", "ansible_user": "root"}),
        ("gw1:2222", "gw1", {"ansible_host": "gw1", "ansible_port": 2222}),
        (
            "ops@[fd00::5]:22",
            "fd00::5",
            {"ansible_host": "fd00::5", "ansible_port": 22, "ansible_user": "ops"},
        ),
        ("fd00::5", "fd00::5", {"ansible_host": "fd00::5"}),
    ],
)
def test_host_is_read_as_ssh_writes_it(text: str, name: str, variables: dict[str, object]) -> None:
    host = parse_host(text)
    assert host.name == name
    assert host.variables == variables


@pytest.mark.parametrize(
    "text", ["", "a b", "gw1:", "gw1:0", "gw1:99999", "gw1:ssh", "-oProxyCommand=x", "@gw1", "gw[1:3]"]
)
def test_text_that_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_host(text)
    assert caught.value.hint


def test_host_that_is_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="gw1 is named twice"):
        parse_hosts(["root@gw1", "gw1"])


def test_hosts_behind_one_address_have_names_of_their_own_without_a_colon() -> None:
    assert [host.name for host in parse_hosts(["gw:2201", "gw:2202", "other"])] == ["gw-2201", "gw-2202", "other"]


def test_address_is_the_same_for_every_name_of_a_host() -> None:
    assert Host("a", {"ansible_host": "10.0.0.5"}).address == Host("10.0.0.5").address == "10.0.0.5"
    assert Host("b", {"ansible_host": "10.0.0.5", "ansible_port": 2222}).address == "10.0.0.5:2222"
    assert local_host().address == "localhost"


def test_inventory_holds_every_host_in_the_group_of_the_playbooks() -> None:
    document = inventory_document([parse_host("root@gw1"), local_host()])
    assert set(document["all"]["children"]["voicectl"]["hosts"]) == {"gw1", "localhost"}
    assert document["all"]["hosts"]["gw1"]["ansible_user"] == "root"
    assert document["all"]["hosts"]["localhost"]["ansible_python_interpreter"] == "/usr/bin/python3"


LISTING = {
    "_meta": {"hostvars": {"a": {"ansible_port": 2222}, "b": {}}},
    "all": {"children": ["ungrouped", "gateways"]},
    "gateways": {"hosts": ["a"], "children": ["more"]},
    "more": {"hosts": ["b", "a"]},
}


def test_hosts_of_nested_groups_are_listed_once_in_order() -> None:
    assert [(host.name, dict(host.variables)) for host in listed_hosts(LISTING, "x.ini")] == [
        ("a", {"ansible_port": 2222}),
        ("b", {}),
    ]


def test_inventory_without_hosts_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^x\.ini: names no host"):
        listed_hosts({"_meta": {"hostvars": {}}, "all": {"children": ["ungrouped"]}}, "x.ini")


def test_encrypted_variable_is_refused_before_it_reaches_a_host() -> None:
    listing = {
        "_meta": {"hostvars": {"a": {"ansible_become_password": {"__ansible_vault": "x"}}}},
        "all": {"hosts": ["a"]},
    }
    with pytest.raises(ConfigError, match="ansible_become_password is encrypted"):
        listed_hosts(listing, "x.ini")

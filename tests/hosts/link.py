"""The link between a guest and the test host: addresses without a route, and a watch that counts what leaves."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.hosts.base import CommandFailed, run

CLAIMS: Final = Path("/run/voicectl-hosts")
"""One file a network in use, with the name of the guest that uses it."""
_NETWORKS: Final = range(1, 250)


@dataclass(frozen=True, slots=True)
class Link:
    """The /30 of one guest: `host` is the test host's end, `guest` the guest's, `device` the host's interface."""

    name: str
    number: int

    @property
    def host(self) -> str:
        return f"10.231.{self.number}.1"

    @property
    def guest(self) -> str:
        return f"10.231.{self.number}.2"

    @property
    def device(self) -> str:
        return f"ve-{self.name}"

    @property
    def _table(self) -> str:
        return f"voicectl_hosts_{self.name.replace('-', '_')}"

    def up(self, leader: int, *, default_route: bool) -> None:
        """Give both ends their addresses and start the watch, before the guest's end is up.

        With a default route every packet that the guest would send anywhere reaches the watch, which drops it;
        without, the guest's own kernel refuses to send.
        """
        inside = ("nsenter", f"--net=/proc/{leader}/ns/net")
        self._watch()
        run("ip", "addr", "add", f"{self.host}/30", "dev", self.device)
        run("ip", "link", "set", self.device, "up")
        run("nsenter", "-t", str(leader), "-m", "-n", "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/host0/disable_ipv6")
        run(*inside, "ip", "addr", "add", f"{self.guest}/30", "dev", "host0")
        run(*inside, "ip", "link", "set", "host0", "up")
        if default_route:
            run(*inside, "ip", "route", "add", "default", "via", self.host)

    def _watch(self) -> None:
        """Count and drop whatever the guest sends that is no answer to the test host.

        A connection that the guest opens to the test host counts as well.
        """
        self.unwatch()
        rules = f"""
        table netdev {self._table} {{
            counter answered {{ }}
            counter left {{ }}
            chain ingress {{
                type filter hook ingress device "{self.device}" priority 0; policy drop;
                arp daddr ip {self.host} accept
                ip saddr {self.guest} ip daddr {self.host} tcp flags & (syn | ack) != syn counter name answered accept
                ip saddr {self.guest} ip daddr {self.host} icmp type echo-reply counter name answered accept
                counter name left drop
            }}
        }}"""
        _nft(rules)

    def unwatch(self) -> None:
        """Remove the watch, where there is one."""
        _nft(f"table netdev {self._table}\ndelete table netdev {self._table}\n")

    def packets_left(self) -> int:
        """Return how many packets the guest has sent that were no answer to the test host."""
        return self._counter("left")

    def packets_answered(self) -> int:
        """Return how many packets the guest has sent in answer to the test host."""
        return self._counter("answered")

    def _counter(self, name: str) -> int:
        listing = json.loads(run("nft", "--json", "list", "counter", "netdev", self._table, name))
        return next(int(entry["counter"]["packets"]) for entry in listing["nftables"] if "counter" in entry)


def claim_link(name: str) -> Link:
    """Take a network that no other guest uses; the same again for a guest that has one."""
    CLAIMS.mkdir(exist_ok=True)
    for claim in CLAIMS.iterdir():
        if claim.read_text() == name:
            return Link(name, int(claim.name))
    for number in _NETWORKS:
        try:
            with (CLAIMS / str(number)).open("x") as file:
                file.write(name)
        except FileExistsError:
            continue
        return Link(name, number)
    raise CommandFailed(f"all {len(_NETWORKS)} networks are in use; see {CLAIMS}")


def release_link(link: Link) -> None:
    """Give a network back."""
    link.unwatch()
    (CLAIMS / str(link.number)).unlink(missing_ok=True)


def _nft(rules: str) -> None:
    import subprocess

    done = subprocess.run(["nft", "-f", "-"], input=rules, text=True, capture_output=True, check=False)
    if done.returncode:
        raise CommandFailed(f"nft: {done.stderr.strip()}")


@contextmanager
def counting(link: Link) -> Iterator[list[int]]:
    """Yield a list that holds, after the block, how many packets left during it."""
    left: list[int] = []
    before = link.packets_left()
    yield left
    left.append(link.packets_left() - before)

"""Boot a guest by hand: `python -m tests.hosts boot NAME`, then `ssh`, `off`, `power-loss`, `destroy`, `list`."""

# ruff: noqa: T201 - its output is for the person who called it

import argparse
import os
import sys

from tests.hosts.base import base_image
from tests.hosts.machine import Machine, existing


def main() -> int:
    """Run one command on one guest."""
    parser = argparse.ArgumentParser(prog="python -m tests.hosts", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("base", help="make the base image, or print where it lies")
    commands.add_parser("list", help="list the guests")
    boot = commands.add_parser("boot", help="boot a guest; a new one is made first")
    boot.add_argument("--fresh", action="store_true", help="begin again with an untouched disk")
    boot.add_argument("--cpus", type=float, default=2.0, help="processor time it may use, in cores")
    boot.add_argument("--default-route", action="store_true", help="route to the watch, which counts and drops")
    others = [
        commands.add_parser("ssh", help="run a shell script in the guest, or open a shell"),
        commands.add_parser("off", help="shut the guest down; the disk stays"),
        commands.add_parser("power-loss", help="stop it at once; what was not flushed is lost"),
        commands.add_parser("destroy", help="remove every trace of it"),
        commands.add_parser("left", help="print how many packets have left the guest"),
    ]
    for each in (boot, *others):
        each.add_argument("name")
    others[0].add_argument("script", nargs="*")
    options = parser.parse_args()
    if options.command == "base":
        print(base_image())
        return 0
    if options.command == "list":
        for machine in existing():
            print(f"{machine.name:12} {machine.address:15} {'running' if machine.running else 'off'}")
        return 0
    return _on_guest(Machine(options.name), options)


def _on_guest(machine: Machine, options: argparse.Namespace) -> int:
    match options.command:
        case "boot":
            if options.fresh or not machine.folder.exists():
                machine.create()
            if not machine.running:
                took_s = machine.boot(cpus=options.cpus, default_route=options.default_route)
                print(f"{machine.name} answers after {took_s:.1f} s", file=sys.stderr)
            print("ssh", *machine.ssh_options(), f"root@{machine.address}")
        case "ssh":
            os.execvp("ssh", ["ssh", *machine.ssh_options(), f"root@{machine.address}", *options.script])
        case "off":
            machine.poweroff()
        case "power-loss":
            machine.lose_power()
        case "destroy":
            machine.destroy()
        case "left":
            print(machine.link.packets_left())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`voicectl upgrade`: a newer release on hosts that have one, while they answer calls."""

import typer

from voicectl.cli import host_options as hosts_by
from voicectl.cli import releasing as given
from voicectl.cli.options import JsonOption

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command("upgrade", epilog="Example: voicectl upgrade --bundle voicectl-1.1.vcb --inventory hosts.ini")
def upgrade_command(
    hosts: hosts_by.HostsArgument = None,
    *,
    bundle: given.BundleOption = None,
    inventory: hosts_by.InventoryOption = None,
    local: hosts_by.LocalOption = False,
    profile: given.ProfileNameOption = None,
    allow_from: given.AllowFromOption = None,
    bind: given.BindOption = None,
    port: given.PortOption = None,
    settings: given.SettingsOption = None,
    check: given.CheckOption = False,
    allowed_signers: given.SignersOption = None,
    allow_unsigned: given.UnsignedOption = False,
    allow_downgrade: given.DowngradeOption = False,
    user: hosts_by.UserOption = None,
    key: hosts_by.KeyOption = None,
    ssh_config: hosts_by.SshConfigOption = None,
    known_hosts: hosts_by.KnownHostsOption = None,
    become_password_file: hosts_by.BecomePasswordOption = None,
    connect_timeout: hosts_by.TimeoutOption = hosts_by.DEFAULT_TIMEOUT_S,
    json: JsonOption = False,
) -> None:
    """Bring a newer release to hosts that have one. Settings that are not given stay what they are.

    The new release has to answer a call beside the old one first. Live calls end on the old one or are taken up
    by the new one. If the new one does not answer behind the switch either, the old one is brought back (exit 9).
    """
    given.bring_release(
        "upgrade",
        bundle,
        allowed_signers,
        hosts_by.selection_of(hosts, inventory, local),
        hosts_by.ssh_of(
            user=user,
            key=key,
            config=ssh_config,
            known_hosts=known_hosts,
            become_password_file=become_password_file,
            timeout_s=connect_timeout,
        ),
        json=json,
        profile=profile,
        allow_from=hosts_by.networks(allow_from),
        bind_host=hosts_by.address(bind),
        port=port,
        settings=given.settings_of(settings),
        check=check,
        allow_unsigned=allow_unsigned,
        allow_downgrade=allow_downgrade,
    )

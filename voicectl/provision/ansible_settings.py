"""The settings of the Ansible that voicectl runs: nothing of the operator's own, nothing outside a private folder."""

from pathlib import Path
from typing import Final

from voicectl.provision.hosts import PYTHON

FILE_NAME: Final = "ansible.cfg"

_SETTINGS: Final = """\
[defaults]
home = {folder}/home
local_tmp = {folder}/tmp
collections_path = {folder}/none
collections_scan_sys_path = False
roles_path = {folder}/none
library = {folder}/none
fact_caching = memory
deprecation_warnings = False
devel_warning = False
localhost_warning = False
interpreter_python = {python}
nocows = True
retry_files_enabled = False
show_custom_stats = False
verbosity = 0

[inventory]
enable_plugins = ansible.builtin.yaml, ansible.builtin.ini
unparsed_is_failed = True
any_unparsed_is_failed = True
unparsed_warning = False

[galaxy]
server_list =
"""


def settings_text(folder: Path) -> str:
    """Return the text of an ansible.cfg whose files all lie in `folder`."""
    # A percent sign begins a reference in this format.
    return _SETTINGS.format(folder=str(folder).replace("%", "%%"), python=PYTHON)


def environment(folder: Path) -> dict[str, str]:
    """Return the variables that hold Ansible to that file, whatever else lies in the home or the working folder."""
    return {
        "ANSIBLE_CONFIG": str(folder / FILE_NAME),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_CALLBACK_PLUGINS": "",
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "ANSIBLE_NOCOLOR": "1",
        # Ansible refuses to run without UTF-8, and an appliance has seldom more than the C locales.
        "LC_ALL": "C.UTF-8",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

"""The playbooks hold: they are linted, parse, and render units that systemd accepts and scores as hardened."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PLAYBOOKS = ROOT / "playbooks"
PROGRAMS = Path(sys.executable).parent
RELEASE = "1.4.0-0f3a9c41d2b7"
MAX_EXPOSURE = 1.5
SURVEY = {"gpu": {"devices": [], "switches": []}, "release": "", "files": [], "table": False}
ARCHIVE = """Package: libcuda1
Architecture: amd64
Version: 535.261.03-1

Package: nvidia-modprobe
Version: 535.161.07-1~deb12u1

Package: python3
Version: 3.11.2-1+b1
"""
RENDERED = {
    "voicectl.service": ("service", "voicectl.service.j2"),
    f"voicectl-gate@{RELEASE}.service": ("service", "voicectl-gate.service.j2"),
    "voicectl-recover.service": ("service", "voicectl-recover.service.j2"),
    "voicectl-firewall.service": ("firewall", "voicectl-firewall.service.j2"),
    "firewall.nft": ("firewall", "firewall.nft.j2"),
    "voicectl-verify.service": ("reverify", "voicectl-verify.service.j2"),
    "voicectl-verify.timer": ("reverify", "voicectl-verify.timer.j2"),
    "voicectl-gpu.service": ("gpu", "voicectl-gpu.service.j2"),
    "preferences": ("gpu", "preferences.j2"),
}
UNITS = [name for name in RENDERED if name.endswith((".service", ".timer"))]


def program(name: str) -> str:
    """Return the path of a program, or skip with the reason."""
    found = shutil.which(name, path=f"{PROGRAMS}:/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def run(command: Sequence[str | Path], folder: Path = PLAYBOOKS) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1"}
    environment["ANSIBLE_CONFIG"] = str(PLAYBOOKS / "ansible.cfg")
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def render(folder: Path, **variables: object) -> dict[str, str]:
    """Return every unit and rule as the roles would write them."""
    roles = sorted({role for role, _ in RENDERED.values()})
    files = [PLAYBOOKS / "roles" / role / kind / "main.yml" for role in roles for kind in ("defaults", "vars")]
    included = [{"ansible.builtin.include_vars": str(path)} for path in files if path.exists()]
    written = [
        {
            "ansible.builtin.template": {
                "src": str(PLAYBOOKS / "roles" / role / "templates" / source),
                "dest": str(folder / name),
            }
        }
        for name, (role, source) in RENDERED.items()
    ]
    chosen = {
        "voicectl_release_id": RELEASE,
        "voicectl_survey": SURVEY,
        "voicectl_allow_from": ["10.0.0.0/8", "fd00::/8"],
    }
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": included + written}
    path = folder / "render.yml"
    path.write_text(yaml.safe_dump([play]))
    extra = {**chosen, "ansible_python_interpreter": sys.executable, **variables}
    done = run([program("ansible-playbook"), "-i", "localhost,", str(path), "-e", json.dumps(extra)])
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: (folder / name).read_text() for name in RENDERED}


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The units of a host without GPU, with the settings that need care."""
    settings = {
        "tls.certificate": "/etc/voicectl/tls.crt",
        "tls.key": "/etc/voicectl/tls.key",
        "llm.system_prompt": 'Say "50 %" \\ no more.',
    }
    folder = tmp_path_factory.mktemp("cpu")
    return render(folder, voicectl_service_settings=settings, firewall_user="root")


@pytest.fixture(scope="module")
def on_gpu(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    survey = {**SURVEY, "gpu": {"devices": [{"address": "0000:01:00.0"}], "switches": []}}
    settings = {"voicectl_survey": survey, "voicectl_profile": "gpu-l40s", "gpu_archive": ARCHIVE}
    return render(tmp_path_factory.mktemp("gpu"), **settings)


def directives(unit: str) -> list[str]:
    """Return the lines of a unit that say something."""
    return [line for line in unit.splitlines() if line and not line.startswith(("#", "["))]


@pytest.mark.timeout(600)
def test_ansible_lint_finds_nothing_against_its_production_profile() -> None:
    command = [
        program("ansible-lint"),
        "--offline",
        "--nocolor",
        "--profile",
        "production",
        "-c",
        ROOT / ".ansible-lint",
    ]
    done = run([*command, "playbooks"], ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("playbook", sorted(path.name for path in PLAYBOOKS.glob("*.yml")))
def test_playbook_parses(playbook: str) -> None:
    done = run([program("ansible-playbook"), "-i", "localhost,", "--syntax-check", playbook])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("role", sorted(path.name for path in (PLAYBOOKS / "roles").iterdir()))
def test_every_default_of_a_role_is_described_and_carries_its_name(role: str) -> None:
    folder = PLAYBOOKS / "roles" / role
    specs = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    described = {name for spec in specs.values() for name in spec["options"]}
    defaults = set(yaml.safe_load((folder / "defaults" / "main.yml").read_text()))
    assert defaults <= described
    assert all(name.startswith(f"{role}_") for name in described)


def test_only_builtin_modules_and_our_own_are_used() -> None:
    own = {path.stem for path in (PLAYBOOKS / "library").glob("*.py")}
    keywords = {
        "name",
        "when",
        "register",
        "loop",
        "vars",
        "block",
        "no_log",
        "environment",
        "changed_when",
        "failed_when",
    }
    keywords |= {"retries", "delay", "until", "check_mode"}
    for path in sorted(PLAYBOOKS.glob("roles/*/tasks/*.yml")):
        tasks = yaml.safe_load(path.read_text())
        tasks += [inner for task in tasks for inner in task.get("block", ())]
        for task in tasks:
            modules = set(task) - keywords
            assert all(name in own or name.startswith("ansible.builtin.") for name in modules), (path, modules)


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_accepts_the_unit(unit: str, on_cpu: dict[str, str], tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    for name in UNITS:
        # The programs are on the hosts; here only the units are judged.
        lines = on_cpu[name].splitlines()
        text = "\n".join("ExecStart=/bin/true" if line.startswith("ExecStart=") else line for line in lines)
        (tmp_path / name).write_text(f"{text}\n")
    done = run([analyze, "verify", "--man=no", "--recursive-errors=no", tmp_path / unit], tmp_path)
    told = [line for line in done.stderr.splitlines() if "voicectl" in line]
    assert (done.returncode, told) == (0, [])


@pytest.mark.parametrize("unit", ["voicectl.service", f"voicectl-gate@{RELEASE}.service"])
def test_exposure_of_the_service_is_at_most_the_bar(unit: str, on_cpu: dict[str, str], tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    (tmp_path / unit).write_text(on_cpu[unit])
    threshold = f"--threshold={round(MAX_EXPOSURE * 10)}"
    done = run([analyze, "security", "--offline=true", "--no-pager", threshold, tmp_path / unit], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Overall exposure level" in done.stdout


def test_gate_runs_in_the_sandbox_of_the_service(on_cpu: dict[str, str]) -> None:
    service = set(directives(on_cpu["voicectl.service"]))
    gate = set(directives(on_cpu[f"voicectl-gate@{RELEASE}.service"]))
    about_other_things = ("Environment=", "Description=", "After=", "Requires=", "Condition", "StartLimit", "Restart")
    about_other_things += ("Timeout", "State", "Runtime", "Syslog", "WantedBy=", "IPAddressAllow=")
    differing = {line for line in service ^ gate if not line.startswith(about_other_things)}
    assert differing == set()
    assert "IPAddressAllow=localhost" in gate


def test_writable_and_executable_memory_stays_allowed(on_cpu: dict[str, str]) -> None:
    # With it, speech recognition is silently wrong on some processors.
    assert not [line for line in directives(on_cpu["voicectl.service"]) if line.startswith("MemoryDenyWriteExecute")]


def test_gpu_host_may_use_its_gpus_and_nothing_else(on_gpu: dict[str, str]) -> None:
    unit = directives(on_gpu["voicectl.service"])
    allowed = [line for line in unit if line.startswith("DeviceAllow=")]
    assert allowed and all(line.startswith("DeviceAllow=char-nvidia") for line in allowed)
    assert "DevicePolicy=closed" in unit
    assert "PrivateDevices=yes" not in unit


def test_each_package_of_the_driver_is_pinned_to_the_version_of_the_bundle(on_gpu: dict[str, str]) -> None:
    pins = re.findall(r"Package: (\S+)\nPin: version (\S+)\nPin-Priority: 1001\n", on_gpu["preferences"])
    assert pins == [("libcuda1", "535.261.03-1"), ("nvidia-modprobe", "535.161.07-1~deb12u1")]


def test_secrets_are_handed_over_and_settings_are_quoted(on_cpu: dict[str, str]) -> None:
    unit = directives(on_cpu["voicectl.service"])
    assert "LoadCredential=tls.key:/etc/voicectl/tls.key" in unit
    assert "Environment=VOICECTL_TLS__KEY=%d/tls.key" in unit
    assert 'Environment="VOICECTL_LLM__SYSTEM_PROMPT=Say \\"50 %%\\" \\\\ no more."' in unit
    assert not [line for line in unit if line.startswith("Environment=") and "tls.key" in line and "%d" not in line]


def test_rules_are_valid_and_name_their_own_table_alone(on_cpu: dict[str, str], tmp_path: Path) -> None:
    rules = on_cpu["firewall.nft"]
    assert "flush" not in rules.replace("nor flushed", "")
    assert {line.split()[-1] for line in rules.splitlines() if line.startswith(("table", "delete"))} <= {
        "voicectl",
        "{",
    }
    nft = program("nft")
    if os.geteuid() != 0:
        pytest.skip("nft checks rules for root only")
    path = tmp_path / "firewall.nft"
    path.write_text(rules)
    done = run([nft, "--check", "--file", path])
    assert done.returncode == 0, done.stderr

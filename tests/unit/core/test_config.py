"""A profile is found, read strictly, and overridden in order; errors name file, key and remedy."""

from pathlib import Path

import pytest

from voicectl.cli.profile import check_models
from voicectl.core.config import MAX_PROFILE_BYTES, load_profile, packaged_profiles, profile_keys
from voicectl.core.errors import ConfigError

CPU = packaged_profiles()["cpu"].read_text()


@pytest.fixture
def write(tmp_path: Path):
    def write_profile(text: str) -> str:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return str(path)

    return write_profile


@pytest.mark.parametrize("name", sorted(packaged_profiles()))
def test_packaged_profile_is_valid_named_like_its_file_and_its_models_are_locked(name: str) -> None:
    profile = load_profile(name, environment={})
    assert profile.name == name
    check_models(profile)


def test_default_profile_is_cpu() -> None:
    assert load_profile(environment={}).name == "cpu"


def test_environment_names_the_profile_and_a_flag_wins() -> None:
    environment = {"VOICECTL_PROFILE": "gpu-l40s"}
    assert load_profile(environment=environment).name == "gpu-l40s"
    assert load_profile("cpu", environment=environment).name == "cpu"


def test_flag_beats_environment_beats_profile_beats_default(write) -> None:
    path = write(CPU.partition("server:")[0] + "server: {port: 1, host: 0.0.0.0, max_sessions: 2}\n")
    environment = {"VOICECTL_SERVER__PORT": "2", "VOICECTL_SERVER__HOST": "127.0.0.2"}
    server = load_profile(path, overrides=["server.port=3"], environment=environment).server
    assert (server.port, server.host, server.max_sessions, server.queue_depth) == (3, "127.0.0.2", 2, 100)


def test_host_file_beats_profile_and_loses_to_the_environment(write, tmp_path: Path) -> None:
    path = write(CPU.partition("server:")[0] + "server: {port: 1, host: 0.0.0.0, max_sessions: 2}\n")
    host = tmp_path / "host.yaml"
    host.write_text("server: {port: 7, host: 127.0.0.7}\nstt: {windows: [3000]}\n")
    profile = load_profile(path, environment={"VOICECTL_SERVER__HOST": "127.0.0.2"}, host_file=host)
    server = profile.server
    assert (server.port, server.host, server.max_sessions) == (7, "127.0.0.2", 2)
    assert profile.stt.windows == (3000,)


def test_host_file_of_this_host_is_read_where_nothing_else_is_said(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path))
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "host.yaml").write_text("server: {max_sessions: 3}\n")
    assert load_profile("cpu").server.max_sessions == 3
    assert load_profile("cpu", environment={}).server.max_sessions != 3


def test_error_names_the_key_of_the_host_file(tmp_path: Path) -> None:
    host = tmp_path / "host.yaml"
    host.write_text("server: {prot: 7}\n")
    with pytest.raises(ConfigError, match=r"host\.yaml: server\.prot: unknown key"):
        load_profile("cpu", environment={}, host_file=host)


def test_overrides_reach_lists_and_take_yaml_values() -> None:
    profile = load_profile("cpu", overrides=["workers.0.device=cuda", "stt.windows=[3000]"], environment={})
    assert profile.workers[0].device == "cuda"
    assert profile.stt.windows == (3000,)


def test_environment_of_other_programs_is_ignored() -> None:
    load_profile("cpu", environment={"VOICECTL_HOME": "/srv", "OTHER__KEY": "1", "VOICECTL_MIRROR": "/m"})


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            CPU + "endpointing: {turn_takin_ms: 3}\n",
            "mine.yaml: endpointing.turn_takin_ms: unknown key",
            "turn_taking_ms?",
        ),
        (CPU + "port: 80\n", "mine.yaml: port: unknown key", "did you mean server.port?"),
        (CPU + "name: again\n", f"line {len(CPU.splitlines()) + 1}: key 'name' is given twice", None),
        (
            CPU.replace("stages: [stt]", "stages: [stt]\n    devic: cuda"),
            "workers.0.devic",
            "did you mean workers.0.device?",
        ),
        (CPU + "vad: &a {}\ntts: *a\n", "aliases are not allowed", None),
        (CPU.replace("cpu_cores: 2", "cpu_cores: many"), "hardware.cpu_cores: 'many' refused", "docs/configuration.md"),
        (CPU.replace("stages: [stt]", "stages: [llm]"), "once each", None),
        ("", "holds no keys", "profile show cpu"),
        ("- a\n", "holds no keys", None),
        ("name: [", "mine.yaml: line 1", "plain YAML"),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor", None),
        ("#" * (MAX_PROFILE_BYTES + 1), "the limit is", None),
        ("name: x\n", "models: required, but not set", None),
    ],
)
def test_bad_file_is_refused_with_the_cause(write, text: str, message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile(write(text), environment={})
    assert message in caught.value.message
    assert hint is None or hint in str(caught.value.hint)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("endpointing.turn_taking_ms", "has no value"),
        ("endpointing.nothing=1", "--set endpointing.nothing: unknown key"),
        ("endpointing.turn_taking_ms=soon", "--set endpointing.turn_taking_ms: 'soon' refused"),
        ("endpointing.turn_taking_ms=1000", "--set endpointing.turn_taking_ms: endpointing: hesitation_ms"),
        ("workers.9.device=cpu", "none of the 4 entries"),
        ("name.first=x", "name is a value, not a section"),
        ("stt.windows=[", "is no YAML value"),
    ],
)
def test_bad_flag_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile("cpu", overrides=[override], environment={})
    assert message in caught.value.message


def test_bad_environment_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="environment variable VOICECTL_SERVER__PRT"):
        load_profile("cpu", environment={"VOICECTL_SERVER__PRT": "1"})


def test_unknown_profile_names_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile("cpuu", environment={})
    assert "gpu-h200" in caught.value.message
    assert caught.value.hint == "did you mean cpu?"


def test_missing_file_and_binary_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such profile file"):
        load_profile(str(tmp_path / "none.yaml"), environment={})
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_profile(str(binary), environment={})


def test_model_of_another_role_is_refused() -> None:
    profile = load_profile("cpu", overrides=["models.stt=silero-vad-v6"], environment={})
    with pytest.raises(ConfigError, match="silero-vad-v6 is a model for vad"):
        check_models(profile)


def test_every_key_has_one_name() -> None:
    keys = list(profile_keys())
    assert len(keys) == len(set(keys))
    assert {"name", "workers.0.stages", "server.port"} <= set(keys)

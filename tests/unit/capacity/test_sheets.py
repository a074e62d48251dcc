"""Tests of data sheets, model shapes and prices, and of what is computed from them."""

from pathlib import Path

import pytest

from voicectl.capacity.estimate import estimated_speeds
from voicectl.capacity.memory import kv_token_bytes, sessions_in_memory
from voicectl.capacity.sheets import hardware_sheet, hardware_sheets, model_sheet, price_sheet
from voicectl.core.config import load_profile, packaged_profiles
from voicectl.core.errors import ConfigError


def test_the_promised_hardware_has_data_sheets() -> None:
    assert set(hardware_sheets()) == {"a10", "h100", "h200", "l40s", "rtx-4090"}


def test_an_unknown_data_sheet_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        hardware_sheet("l40")
    assert caught.value.hint == "did you mean l40s?"


def test_a_data_sheet_with_unknown_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ncolour: red\n")
    with pytest.raises(ConfigError, match="colour"):
        hardware_sheet(str(path))


def test_every_profile_s_models_have_shapes() -> None:
    for name in packaged_profiles():
        models = load_profile(name, environment={}).models
        model_sheet().language_model(models.llm)
        assert models.stt in model_sheet().speech_models


@pytest.mark.parametrize(
    ("name", "kib"),
    [("smollm2-135m-instruct-q4_1", 22.5), ("qwen3-8b-q4_k_m", 144), ("qwen3-30b-a3b-q4_k_m", 96)],
)
def test_a_token_of_the_cache_takes_what_the_profiles_say(name: str, kib: float) -> None:
    shape, _ = model_sheet().language_model(name)
    assert kv_token_bytes(shape, 2.0) == kib * 1024


def test_contexts_that_fit_are_those_of_the_published_estimates() -> None:
    shape, _ = model_sheet().language_model("llama-3.1-8b-instruct-q4_k_m")
    for vram_gb, element, sessions in ((48, 2.0, 130), (48, 1.0625, 245), (24, 2.0, 47), (24, 1.0625, 90)):
        found = sessions_in_memory(
            vram_gb=vram_gb,
            weights_gb=4.92,
            stt_gb=3.1,
            kv_bytes=kv_token_bytes(shape, element),
            context_tokens=2048,
        )
        assert found == pytest.approx(sessions, rel=0.05)


@pytest.mark.parametrize(("name", "milliseconds"), [("h200", 97), ("l40s", 266), ("rtx-4090", 584), ("a10", 771)])
def test_prompts_take_what_was_published_for_an_8b_model(name: str, milliseconds: float) -> None:
    shape, quantisation = model_sheet().language_model("llama-3.1-8b-instruct-q4_k_m")
    speeds = estimated_speeds(
        hardware_sheet(name),
        shape,
        model_sheet().bits(quantisation),
        model_sheet().speech_models["faster-whisper-large-v3"],
        0.065,
        kv_bytes=kv_token_bytes(shape, 2.0),
        tts_threads=1,
    )
    assert 1500 * speeds.prefill_token_s * 1000 == pytest.approx(milliseconds, rel=0.03)


def test_hosted_prices_are_ranges_with_a_source() -> None:
    sheet = price_sheet()
    assert sheet.source
    assert all(0 < price.low <= price.high < 1 for price in sheet.hosted)

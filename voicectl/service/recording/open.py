"""Make the recorder that a profile asks for."""

from pathlib import Path
from typing import Final

from voicectl.core.lockfile import read_lock
from voicectl.core.paths import store_path
from voicectl.core.ports import Purpose, Redactor
from voicectl.core.profile import Profile
from voicectl.governance.store.location import location_of
from voicectl.governance.store.store import open_store
from voicectl.service.recording.digests import PolicyInForce, config_digest, model_digest
from voicectl.service.recording.hashkey import caller_hash_key
from voicectl.service.recording.pseudonyms import caller_hash
from voicectl.service.recording.recorder import Recorder
from voicectl.service.recording.retainer import Retainer
from voicectl.service.recording.scribe import Scribe, Surroundings, digest
from voicectl.service.recording.spill import Spill
from voicectl.service.recording.writer import Writer

DEFAULT_SPILL: Final = "records/spill"
RETENTION_WAIT_S: Final = 30.0
"""How long retention waits for the database: nobody waits for it, and it may read over years of calls."""


def call_recorder(profile: Profile, *, redactor: Redactor | None) -> Recorder | None:
    """Return the recorder, not yet open; None when the profile wants none.

    Without a redactor no words are recorded. Raises ConfigError for a key that cannot be read.
    """
    settings = profile.governance
    if not settings.enabled:
        return None
    scribe = Scribe(
        Surroundings(
            purpose=Purpose(settings.use_case, "low"),
            agent_name=profile.name,
            config_digest=config_digest(profile),
            model_digest=model_digest(profile, read_lock()),
            prompt_digest=digest(profile.llm.system_prompt),
            policy_digest=PolicyInForce(),
            caller_attribute=settings.caller_attribute,
            caller_key=caller_hash(caller_hash_key(settings.hash_key_file)),
            transfer_tools=frozenset(settings.transfer_tools),
        ),
        redactor,
    )
    folder = Path(settings.spill_folder) if settings.spill_folder is not None else store_path() / DEFAULT_SPILL
    writer = Writer(
        scribe,
        lambda: open_store(location_of(settings), timeout_s=settings.storage_s),
        Spill(folder, max_bytes=settings.max_spill_bytes),
        patience_s=settings.storage_s,
    )
    retainer = Retainer(
        settings.retention, lambda: open_store(location_of(settings), timeout_s=RETENTION_WAIT_S, create=False)
    )
    return Recorder(settings, writer, scribe, retainer)

"""Name the judge that a profile and a rubric make, and bound what it reads. Starts no model."""

import hashlib
import json

from voicectl.core.lockfile import read_lock
from voicectl.core.profile import Profile
from voicectl.governance.score.rubric import Rubric
from voicectl.governance.score.verdict import judge_digest
from voicectl.service.scoring.judge import JudgeLimits


def model_digest(profile: Profile) -> str:
    """Return what names the bytes of the profile's language model, and how they are run."""
    pins = sorted((file.path, file.sha256) for file in read_lock().model(profile.models.llm).files)
    parts = [pins, profile.llm.requantise, profile.llm.kv_type]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def judge_limits(profile: Profile) -> JudgeLimits:
    """Return how much the profile's language model may read as a judge."""
    return JudgeLimits(context_tokens=profile.llm.context_tokens)


def digest_of(profile: Profile, rubric: Rubric) -> str:
    """Return the digest of the judge that a profile and a rubric make."""
    return judge_digest(model_digest(profile), rubric)

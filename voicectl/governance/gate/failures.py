"""An error in the place of a verdict, in every format of a verdict: whoever reads reports must not miss it. Pure."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from junitparser import Error, TestCase, TestSuite

from voicectl.core.errors import VoicectlError
from voicectl.governance.gate.outputs import junit_text, sarif_result, sarif_text
from voicectl.governance.policy.persons import shown

HEADLINE: Final = "stopped: there is no verdict"
_RULE: Final = "no-verdict"


def _to_json(error: VoicectlError, tier: str, _policy: Path) -> str:
    document = {
        "tier": tier,
        "decision": "error",
        "exit_code": error.exit_code,
        "headline": HEADLINE,
        "error": {
            "type": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        },
    }
    return json.dumps(document, indent=2) + "\n"


def _to_junit(error: VoicectlError, tier: str, _policy: Path) -> str:
    suite = TestSuite(f"voicectl gate: tier {shown(tier)}")
    case = TestCase("verdict", classname=f"gate.{shown(tier)}")
    case.result = [Error(_text(error), type(error).__name__)]
    suite.add_testcase(case)
    return junit_text(suite)


def _to_sarif(error: VoicectlError, _tier: str, policy: Path) -> str:
    result = sarif_result(_RULE, [_RULE], _text(error), policy, 1)
    return sarif_text([_RULE], [result], exit_code=error.exit_code, is_verdict=False)


def _to_markdown(error: VoicectlError, tier: str, _policy: Path) -> str:
    told = "\n".join(f"    {line}" for line in _text(error).splitlines())
    return f"# Gate: tier {shown(tier)}\n\n**{HEADLINE}** (exit {error.exit_code})\n\n{told}\n"


def _text(error: VoicectlError) -> str:
    return shown(error.message if error.hint is None else f"{error.message}\n{error.hint}")


FAILURES: Final[Mapping[str, Callable[[VoicectlError, str, Path], str]]] = {
    "json": _to_json,
    "junit": _to_junit,
    "sarif": _to_sarif,
    "markdown": _to_markdown,
}
"""By format: from the error, the tier that was asked for, and the file of the policy."""

"""voicectl: a private voice-agent appliance on hosts without internet."""

__version__ = "0.1.0.dev0"

"""The parts of a profile, one file a domain."""

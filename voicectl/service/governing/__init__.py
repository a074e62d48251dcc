"""Redaction and the audit log around calls."""

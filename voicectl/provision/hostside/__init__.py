"""The program that runs on every host: places, gates, activates and rolls back releases.

It knows only the standard library and imports relatively: it travels as one file, `release.pyz`, and is run by the
host's own Python, so that no release, however broken, can stand in the way of recovery.
"""

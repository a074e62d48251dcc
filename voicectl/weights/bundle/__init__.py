"""One file with everything a target needs: its format, its signature, how it is built and how it is checked."""

"""`python -m voicectl.provision.hostside`: the program of a host, from a checkout."""

from .command import run

if __name__ == "__main__":
    run()

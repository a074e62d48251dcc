"""What verifying a bundle costs: time against bare sha256 in the same run, and memory."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.small_bundle import CONTENT, manifest_of, placed_files
from voicectl.weights.bundle.verify import verify_bundle
from voicectl.weights.bundle.write import write_bundle

SIZE_BYTES = int(os.environ.get("VOICECTL_BUNDLE_BYTES", str(192 << 20)))
LEAST_RATIO = 0.6
"""Of the speed of hashing the same bytes in memory; about 0.9 on an idle host, less where others use the cores."""
MOST_MEMORY_BYTES = 100 << 20
ROUNDS = 3


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    piece = os.urandom(1 << 20)
    placed = placed_files(folder / "files", {**CONTENT, "blobs/sha256/ff/ffff": b""})
    with (folder / "files/blobs/sha256/ff/ffff").open("wb") as file:
        for _ in range(SIZE_BYTES >> 20):
            file.write(piece)
    path = folder / "large.vcb"
    write_bundle(path, manifest_of(placed), placed)
    return path


def bare_seconds(num_bytes: int) -> float:
    piece = memoryview(bytearray(1 << 20))
    begun = time.thread_time()
    digest = hashlib.sha256()
    for _ in range(num_bytes >> 20):
        digest.update(piece)
    return time.thread_time() - begun


def verify_seconds(bundle: Path) -> float:
    begun = time.thread_time()
    verify_bundle(bundle, Path("/nonexistent"), allow_unsigned=True)
    return time.thread_time() - begun


def test_verification_is_nearly_as_fast_as_bare_hashing(bundle: Path) -> None:
    rounds = [(bare_seconds(SIZE_BYTES), verify_seconds(bundle)) for _ in range(ROUNDS)]
    bare, verify = (min(times) for times in zip(*rounds, strict=True))
    sys.stdout.write(
        f"\nsha256 {SIZE_BYTES / bare / 1e6:.0f} MB/s of one core, verify {SIZE_BYTES / verify / 1e6:.0f} MB/s: "
        f"{bare / verify:.2f}\n"
    )
    assert bare / verify >= LEAST_RATIO


def test_memory_does_not_grow_with_the_bundle(bundle: Path) -> None:
    # ru_maxrss of a child counts what its parent held when it was started; the peak of its own is in /proc.
    code = (
        "import sys; from pathlib import Path; from voicectl.cli.main import main; status = main(sys.argv[1:]);"
        "sys.stderr.write(Path('/proc/self/status').read_text()); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "bundle", "verify", str(bundle), "--allow-unsigned"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = next(line for line in done.stderr.splitlines() if line.startswith("VmHWM:"))
    peak_bytes = int(peak.split()[1]) * 1024
    sys.stdout.write(f"\npeak memory {peak_bytes >> 20} MiB for a bundle of {SIZE_BYTES >> 20} MiB\n")
    assert peak_bytes <= MOST_MEMORY_BYTES

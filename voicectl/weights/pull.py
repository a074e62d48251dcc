"""Bring pinned models into the store: decide what is missing and from where, fetch in parallel, check, place."""

import errno
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from voicectl.core.errors import ArtifactMissing, ChecksumMismatch, ConfigError, IntegrityError
from voicectl.core.lockfile import (
    HubFile,
    JoinedParts,
    LocalFile,
    LockedFile,
    LockedModel,
    Pin,
    Source,
    WheelMember,
    parse_source,
)
from voicectl.weights.hub import Hub
from voicectl.weights.progress import Progress, SilentProgress, SourceUnavailable
from voicectl.weights.sink import CHUNK_BYTES, Sink
from voicectl.weights.store import HASH_THREADS, Store, missing
from voicectl.weights.wheels import Wheels, installed_member

DEFAULT_JOBS: Final = 4
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

Action = Literal["present", "fetched", "repaired"]


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How to pull. `mirror` is tried first; `offline` forbids the network; `refetch` distrusts what is here."""

    offline: bool = False
    mirror: Path | None = None
    refetch: bool = False
    jobs: int = DEFAULT_JOBS
    hub_endpoint: str | None = None
    free_bytes: Callable[[Path], int] = field(default=lambda folder: shutil.disk_usage(folder).free)


@dataclass(frozen=True, slots=True)
class PulledFile:
    """What a pull did for one file of a model."""

    model: str
    path: str
    size_bytes: int
    action: Action


@dataclass(frozen=True, slots=True)
class _Want:
    """One digest to have; `model` is the first that needs it."""

    model: str
    file: LockedFile

    @property
    def name(self) -> str:
        return f"{self.model}/{self.file.path}"


def pull(
    models: Sequence[LockedModel], store: Store, options: PullOptions, progress: Progress | None = None
) -> list[PulledFile]:
    """Make every file of `models` present, checked and linked; return what was done for each.

    Raises ChecksumMismatch or IntegrityError (nothing of that file is placed), ArtifactMissing, ConfigError when
    the disk is too small, LockedError when another run changes the store. KeyboardInterrupt leaves partial files
    that the next pull continues.
    """
    wanted = list({file.sha256: _Want(model.name, file) for model in reversed(models) for file in model.files}.values())
    lacking = wanted if options.refetch else _not_intact(wanted, store)
    stale = {want.file.sha256 for want in lacking if store.blob_path(want.file.sha256).exists()}
    if lacking or not all(store.is_linked(model) for model in models):
        with store.exclusive():
            if not options.refetch:
                lacking = _not_intact(lacking, store)
            _Pull(store, options, progress or SilentProgress()).run(lacking)
            for model in models:
                store.link(model)
    fetched = {want.file.sha256 for want in lacking}
    return [
        PulledFile(model.name, file.path, file.size, _action(file.sha256, fetched, stale))
        for model in models
        for file in model.files
    ]


class _Pull:
    """One run of fetching, under the store's lock."""

    def __init__(self, store: Store, options: PullOptions, progress: Progress) -> None:
        self._store = store
        self._options = options
        self._progress = progress
        self._stop = threading.Event()
        self._hub = Hub(options.hub_endpoint)
        self._wheels = Wheels(store.partials / "wheels", stop=self._stop, progress=progress)

    def run(self, wants: Sequence[_Want]) -> None:
        if not wants:
            return
        if self._options.refetch:
            self._forget(wants)
        needed = self._needed_bytes(wants)
        free = self._options.free_bytes(self._store.root)
        if needed > free:
            raise _disk_full(self._store.root, needed, free)
        try:
            self._run_parallel(wants)
        except IntegrityError:
            self._wheels.clear()
            raise
        except OSError as error:
            if error.errno not in _DISK_FULL:
                raise ConfigError(f"{error.filename or self._store.root}: {error.strerror}") from error
            left = [want for want in wants if not self._store.blob_path(want.file.sha256).exists()]
            raise _disk_full(
                self._store.root, self._needed_bytes(left), self._options.free_bytes(self._store.root)
            ) from error
        self._wheels.clear()

    def _run_parallel(self, wants: Sequence[_Want]) -> None:
        threads = ThreadPoolExecutor(self._options.jobs, thread_name_prefix="pull")
        try:
            # Wheels first: several files wait for one wheel, and a waiting file must not keep a thread from it.
            for source in self._wheels_needed(wants):
                threads.submit(self._wheels.fetch, source)
            self._collect([threads.submit(self._obtain_blob, want) for want in wants])
        finally:
            self._stop.set()
            threads.shutdown(wait=True, cancel_futures=True)

    def _collect(self, futures: Sequence[Future[None]]) -> None:
        absent: list[ArtifactMissing] = []
        for future in as_completed(futures):
            try:
                future.result()
            except ArtifactMissing as error:
                # The others are worth having, and one run should name everything that is missing.
                absent.append(error)
        if len(absent) == 1:
            raise absent[0]
        if absent:
            raise ArtifactMissing(
                "\n  ".join([f"{len(absent)} files are missing:", *sorted(error.message for error in absent)]),
                hint=absent[0].hint,
            )

    def _wheels_needed(self, wants: Sequence[_Want]) -> Iterator[WheelMember]:
        if self._options.offline:
            return
        seen: set[str] = set()
        for want in wants:
            for pin in want.file.parts or (want.file,):
                source = parse_source(pin.sources[0])
                if not isinstance(source, WheelMember) or source.requirement in seen:
                    continue
                if self._local_copy(pin, want) is None:
                    seen.add(source.requirement)
                    yield source

    def _obtain_blob(self, want: _Want) -> None:
        self._obtain(want.file, want)
        self._store.place(want.file.sha256)

    def _obtain(self, pin: Pin, want: _Want) -> None:
        """Fill the partial file of `pin` from the first source that can."""
        name = want.name if pin is want.file else f"{want.name} (part {pin.sha256[:12]})"
        partial = self._store.partial_path(pin.sha256)
        self._progress.started(name, pin.size)
        try:
            with Sink(
                partial,
                pin,
                name=name,
                stop=self._stop,
                advanced=lambda done_bytes: self._progress.advanced(name, done_bytes),
            ) as sink:
                self._fill(sink, pin, want)
        except BaseException as error:
            # Good bytes stay for the next pull; wrong ones and empty files do not.
            if isinstance(error, IntegrityError) or (partial.exists() and partial.stat().st_size == 0):
                partial.unlink(missing_ok=True)
            raise
        finally:
            self._progress.finished(name)

    def _fill(self, sink: Sink, pin: Pin, want: _Want) -> None:
        if sink.is_complete:
            # An earlier run ended between the last byte and the rename.
            sink.finish()
            return
        reasons = []
        copy = self._local_copy(pin, want)
        sources: list[Source] = [LocalFile(copy)] if copy else [parse_source(text) for text in pin.sources]
        for source in sources:
            try:
                self._fill_from(source, sink, pin, want)
                return
            except SourceUnavailable as reason:
                reasons.append(str(reason))
        raise missing(want.model, want.file, "; ".join(reasons))

    def _fill_from(self, source: Source, sink: Sink, pin: Pin, want: _Want) -> None:
        resumed = sink.num_bytes > 0
        try:
            self._read(source, sink, pin, want)
            sink.finish()
        except ChecksumMismatch:
            if not resumed:
                raise
            # The bytes of the earlier run may be the wrong ones; the source gets one fair chance.
            self._read(source, sink, pin, want)
            sink.finish()

    def _read(self, source: Source, sink: Sink, pin: Pin, want: _Want) -> None:
        match source:
            case LocalFile():
                _copy(source.path, sink)
            case JoinedParts() if isinstance(pin, LockedFile):
                self._join(pin, sink, want)
            case WheelMember() | HubFile() if self._options.offline:
                raise SourceUnavailable("not fetched while offline")
            case WheelMember():
                self._wheels.extract(source, sink)
            case HubFile():
                self._hub.fetch(source, sink)

    def _join(self, file: LockedFile, sink: Sink, want: _Want) -> None:
        for part in file.parts:
            try:
                self._obtain(part, want)
            except ArtifactMissing as error:
                raise SourceUnavailable(error.message.removeprefix(f"{want.name}: ")) from error
        sink.restart()
        for part in file.parts:
            _append(self._store.partial_path(part.sha256), sink)
        for part in file.parts:
            self._store.partial_path(part.sha256).unlink()

    def _local_copy(self, pin: Pin, want: _Want) -> Path | None:
        mirror = self._options.mirror
        if mirror:
            names = [mirror / pin.sha256]
            names += [mirror / want.model / want.file.path] if pin is want.file else []
            for path in names:
                if path.is_file():
                    return path.absolute()
        for text in pin.sources:
            source = parse_source(text)
            if isinstance(source, WheelMember) and (installed := installed_member(source, pin)):
                return installed
        return None

    def _forget(self, wants: Sequence[_Want]) -> None:
        self._wheels.clear()
        for want in wants:
            for pin in (want.file, *want.file.parts):
                self._store.partial_path(pin.sha256).unlink(missing_ok=True)

    def _needed_bytes(self, wants: Sequence[_Want]) -> int:
        """Return the disk space that fetching takes at its peak: wheels and parts exist beside the result."""
        total = 0
        for want in wants:
            for pin in (want.file, *want.file.parts):
                partial = self._store.partial_path(pin.sha256)
                total += pin.size - (min(pin.size, partial.stat().st_size) if partial.is_file() else 0)
                if isinstance(parse_source(pin.sources[0]), WheelMember) and not self._local_copy(pin, want):
                    total += pin.size
        return total


def _not_intact(wants: Sequence[_Want], store: Store) -> list[_Want]:
    with ThreadPoolExecutor(HASH_THREADS) as threads:
        intact = list(threads.map(lambda want: store.is_intact(want.file.sha256, want.file.size), wants))
    return [want for want, is_intact in zip(wants, intact, strict=True) if not is_intact]


def _action(sha256: str, fetched: set[str], stale: set[str]) -> Action:
    if sha256 not in fetched:
        return "present"
    return "repaired" if sha256 in stale else "fetched"


def _copy(path: Path, sink: Sink) -> None:
    try:
        _append(path, sink, skip_bytes=sink.num_bytes)
    except FileNotFoundError as error:
        raise SourceUnavailable("no such file") from error


def _append(path: Path, sink: Sink, *, skip_bytes: int = 0) -> None:
    with path.open("rb") as file:
        file.seek(skip_bytes)
        while chunk := file.read(CHUNK_BYTES):
            sink.write(chunk)


def _disk_full(folder: Path, needed: int, free: int) -> ConfigError:
    return ConfigError(
        f"{folder}: the disk has {free} bytes free, the pull needs {needed}",
        hint="free some space, for example with `voicectl models gc`, or set VOICECTL_HOME to a larger disk",
    )

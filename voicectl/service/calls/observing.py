"""Show a call to those who watch it. None of them can hurt the call."""

from collections.abc import Callable, Iterable

import structlog

from voicectl.core.ports import CallObserver

log = structlog.get_logger(__name__)


class Observers:
    """Those who watch one call."""

    def __init__(self, observers: Iterable[CallObserver]) -> None:
        self._observers = tuple(observers)
        self._broken: list[CallObserver] = []

    def show(self, what: Callable[[CallObserver], None]) -> None:
        """Have each observer take notice of something."""
        for observer in self._observers:
            try:
                what(observer)
            except Exception as error:  # the edge of an observer: what it does must not hurt the call
                # Traces are long, and an observer that failed once fails at every event.
                first = observer not in self._broken
                if first:
                    self._broken.append(observer)
                name = type(observer).__name__
                log.error("observer_failed", observer=name, error=repr(error), exc_info=error if first else None)

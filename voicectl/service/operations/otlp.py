"""Delivers spans to a collector, OTLP over HTTP. A collector that is slow or gone costs spans and nothing else."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from typing import Final, cast
from urllib.parse import urlsplit, urlunsplit

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, Status, StatusCode, format_trace_id, set_span_in_context

import voicectl
from voicectl.core.sections.telemetry import Telemetry
from voicectl.service.header_files import read_headers
from voicectl.service.operations.trace_plan import Attributes, SpanPlan
from voicectl.service.operations.tracing import NS, Handle, TraceCounts

log = structlog.get_logger(__name__)

TRACES_PATH: Final = "/v1/traces"
EXPORT_EVERY_S: Final = 1.0
MAX_BATCH: Final = 256
MAX_ATTRIBUTE: Final = 8192
"""Longest text of an attribute, in characters."""


def traces_url(endpoint: str) -> str:
    """Return the address of a collector's traces; an endpoint without a path gets the usual one."""
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(path=TRACES_PATH)) if parts.path in ("", "/") else endpoint


class _CountingExporter(SpanExporter):
    """Counts what was delivered and lost, and stops trying once time is up. Runs on the SDK's thread."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False
        self.ends_at: float | None = None
        self.num_exported = 0
        self.num_lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        if self.ends_at is None or time.monotonic() < self.ends_at:
            result = self._exporter.export(spans)
        delivered = result is SpanExportResult.SUCCESS
        if delivered:
            self.num_exported += len(spans)
        else:
            self.num_lost += len(spans)
        if delivered is self._failing:
            self._failing = not delivered
            log.warning("traces_delivered_again" if delivered else "traces_lost", spans=len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class OtlpSpans:
    """A SpanSink that hands spans to the OpenTelemetry SDK, which delivers them from a thread of its own.

    At most `queue_spans` wait for delivery; what comes on top is dropped and counted.
    """

    def __init__(self, settings: Telemetry, *, profile_name: str) -> None:
        """Start the exporter's thread. Raises ConfigError when a header's file cannot be read."""
        # Its warnings come with every batch; ours come when something changes.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        exporter = OTLPSpanExporter(
            endpoint=traces_url(settings.otlp_endpoint or ""),
            headers=read_headers({}, settings.otlp_header_files),
            timeout=settings.export_timeout_s,
        )
        self._exporter = _CountingExporter(exporter)
        self._flush_s = settings.flush_s
        self._max_waiting = settings.queue_spans
        self._num_taken = 0
        self._num_dropped = 0
        resource = Resource.create(
            {
                "service.name": "voicectl",
                "service.version": voicectl.__version__,
                "voicectl.profile": profile_name,
            }
        )
        self._provider = TracerProvider(
            resource=resource,
            sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
            # The SDK would wait up to half a minute at the end of the process.
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attribute_length=MAX_ATTRIBUTE),
        )
        processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=settings.queue_spans,
            schedule_delay_millis=EXPORT_EVERY_S * 1000,
            max_export_batch_size=min(MAX_BATCH, settings.queue_spans),
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("voicectl", voicectl.__version__)

    def begin(self, name: str, began_ns: int, attributes: Attributes) -> Handle | None:
        """Begin a trace; None for one that is not sampled."""
        span = self._tracer.start_span(name, start_time=began_ns, attributes=attributes)
        return span if span.is_recording() else None

    def trace_id(self, span: Handle) -> str:
        """Return the id of a trace that was begun, 32 hexadecimal digits."""
        return format_trace_id(cast(Span, span).get_span_context().trace_id)

    def add(self, parent: Handle, plan: SpanPlan, anchor_ns: int) -> Handle | None:
        """Add spans whose session second 0 was at `anchor_ns`; None when they were dropped."""
        if not self._has_room(len(plan)):
            return None
        return self._add(cast(Span, parent), plan, anchor_ns)

    def end(self, span: Handle, ended_ns: int, attributes: Attributes) -> None:
        """End what was begun."""
        if self._has_room(1):
            root = cast(Span, span)
            root.set_attributes(attributes)
            root.end(ended_ns)

    def counts(self) -> TraceCounts:
        """Return what became of the spans."""
        exported, lost = self._exporter.num_exported, self._exporter.num_lost
        return TraceCounts(exported, lost + self._num_dropped, self._num_taken - exported - lost)

    async def close(self) -> None:
        """Deliver what waits, for `flush_s` at most."""
        self._exporter.ends_at = time.monotonic() + self._flush_s
        loop = asyncio.get_running_loop()
        closed = asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            # The loop may have ended before a slow collector did.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(closed.set)

        # A daemon, so that not even the end of the process waits for the collector.
        threading.Thread(target=shut_down, name="traces-shutdown", daemon=True).start()
        try:
            async with asyncio.timeout(self._flush_s):
                await closed.wait()
        except TimeoutError:
            # Ends the pause between two attempts of the exporter.
            self._exporter.shutdown()
        counts = self.counts()
        if counts.num_waiting or counts.num_lost:
            log.warning("traces_incomplete", waiting=counts.num_waiting, lost=counts.num_lost)

    def _has_room(self, num_spans: int) -> bool:
        waiting = self._num_taken - self._exporter.num_exported - self._exporter.num_lost
        if waiting + num_spans > self._max_waiting:
            self._num_dropped += num_spans
            return False
        self._num_taken += num_spans
        return True

    def _add(self, parent: Span, plan: SpanPlan, anchor_ns: int) -> Span:
        span = self._tracer.start_span(
            plan.name,
            context=set_span_in_context(parent),
            start_time=anchor_ns + round(plan.began_at * NS),
            attributes=plan.attributes,
        )
        for child in plan.children:
            self._add(span, child, anchor_ns)
        if plan.error is not None:
            span.set_status(Status(StatusCode.ERROR, plan.error))
        span.end(anchor_ns + round(plan.ended_at * NS))
        return span

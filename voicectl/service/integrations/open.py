"""Opens the other systems of a profile for as long as the gateway runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicectl.core.sections.integrations import Integrations

if TYPE_CHECKING:
    from voicectl.service.integrations.context import HttpContext
    from voicectl.service.integrations.tools import HttpTools, OnRun


@dataclass(frozen=True, slots=True)
class OtherSystems:
    """What calls use of other systems; None where the profile names nothing."""

    tools: "HttpTools | None"
    context: "HttpContext | None"


@asynccontextmanager
async def open_integrations(settings: Integrations, *, on_run: "OnRun | None" = None) -> AsyncIterator[OtherSystems]:
    """Open what the profile names; one pool of connections for all. Raises ConfigError."""
    if not settings.tools and settings.context.url is None:
        yield OtherSystems(None, None)
        return
    # An HTTP client and a schema validator: only for profiles that ask other systems.
    from voicectl.service.integrations.context import HttpContext
    from voicectl.service.integrations.exchange import open_client
    from voicectl.service.integrations.tools import HttpTools

    # Reading the host's certificates takes tens of milliseconds.
    async with await asyncio.to_thread(open_client, settings) as client:
        tools = HttpTools(settings, client, on_run=on_run) if settings.tools else None
        context = HttpContext(settings.context, client, on_run=on_run) if settings.context.url else None
        yield OtherSystems(tools, context)

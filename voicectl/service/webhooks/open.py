"""Make the dispatcher that a profile asks for."""

from pathlib import Path
from typing import Final

from voicectl.core.paths import store_path
from voicectl.core.sections.webhooks import Webhooks
from voicectl.service.webhooks.dispatcher import WebhookDispatcher
from voicectl.service.webhooks.outbox import Outbox
from voicectl.service.webhooks.sender import Sender

DEFAULT_FILE: Final = "webhooks/outbox.db"


def webhook_dispatcher(settings: Webhooks) -> WebhookDispatcher | None:
    """Return the dispatcher, not yet open; None when the profile names no receivers.

    Raises ConfigError for secrets or certificates that cannot be read.
    """
    if not settings.enabled or not settings.endpoints:
        return None
    path = Path(settings.outbox) if settings.outbox is not None else store_path() / DEFAULT_FILE
    outbox = Outbox(path, max_deliveries=settings.max_outbox, timeout_s=settings.storage_s)
    ways = {endpoint.name: Sender(endpoint, settings) for endpoint in settings.endpoints}
    return WebhookDispatcher(settings, outbox, ways)

"""An agent session behind the Realtime wire, without engine, sound or sockets: one step at a time, all checked."""

import json
from itertools import count
from typing import Any

from tests.fakes.conformance import validate_frame
from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.agent.commands import Command
from voicectl.agent.session import Session, SessionInput
from voicectl.core import events as ev
from voicectl.core.config import load_profile
from voicectl.media.transports.realtime.protocol import RealtimeProtocol
from voicectl.media.transports.realtime.session import SessionDefaults

GATEWAY_TOOL = ev.Tool("order_status", "Look up an order.", '{"type":"object"}')
CLIENT_TOOL = {"type": "function", "name": "get_weather", "description": "Tell the weather.", "parameters": {}}


class WiredCall:
    """Carries commands out as a call does, and checks each frame and its place among the others."""

    def __init__(self, *, beta: bool = False) -> None:
        numbers = count(1)
        self.beta = beta
        self.at = 0.0
        self.session = Session(
            load_profile("cpu"), lambda kind: f"{kind}_{next(numbers)}", gateway_tools=(GATEWAY_TOOL,)
        )
        self.wire = RealtimeProtocol("sess_1", "model", defaults=SessionDefaults(), beta=beta)
        self.frames: list[dict[str, Any]] = []
        self.composing: do.Compose | None = None
        self.speaking: do.Speak | None = None
        self.finishing: do.FinishPlayout | None = None
        self.released: do.Release | None = None
        self.tools: list[do.CallTool] = []
        self.hearing: do.Hear | None = None
        self.items: list[str] = []
        self.open_items: dict[str, dict[str, Any]] = {}
        self.open_response: str | None = None
        for frame in self.wire.opening():
            validate_frame(frame, beta=beta)

    def client(self, kind: str, **fields: Any) -> None:
        """Let the client send an event."""
        received = self.wire.receive(json.dumps({"type": kind, "event_id": "e1", **fields}), at=self.at)
        self._show(list(received.events))
        for action in received.actions:
            match action:
                case ev.ItemTruncateRequested(item_id, audio_end_ms, event_id):
                    self.tell(told.ItemHeardUpTo(item_id, audio_end_ms, "Once", event_id))
                case ev.AudioReceived() | ev.AudioCommitRequested():
                    self.tell(told.CallerFinished(self.at, self.at, "client"))
                case _:
                    self.tell(action)

    def tell(self, event: SessionInput) -> None:
        """Let the planes tell the session something."""
        self.at += 0.1
        for command in self.session.step(event, self.at):
            self._carry_out(command)

    def sound(self) -> None:
        """Let a piece of the reply that may be heard be sent."""
        if self.released is not None:
            self._emit(ev.ReplyAudio(self.released.response_id, self.released.item_id, bytes(960), 24_000))

    def _carry_out(self, command: Command) -> None:  # one arm a command
        match command:
            case do.Emit(event):
                self._emit(event)
            case do.Compose():
                self.composing = command
            case do.Speak():
                self.speaking = command
            case do.Release():
                self.released = command
            case do.FinishPlayout():
                self.finishing = command
            case do.CallTool():
                self.tools.append(command)
            case do.Hear():
                self.hearing = command
            case do.StopPlayout(response_id):
                self.tell(told.PlayoutStopped(response_id, "Once upon", 300))
            case do.Abandon():
                self.speaking = self.finishing = self.released = None

    def _emit(self, event: ev.CallEvent) -> None:
        self._show(self.wire.send(event, self.at))

    def _show(self, frames: list[dict[str, Any]]) -> None:
        for frame in frames:
            frame = json.loads(json.dumps(frame))
            validate_frame(frame, beta=self.beta)
            self.frames.append(frame)
            if not self.beta:
                self._check_place(frame)

    def _check_place(self, frame: dict[str, Any]) -> None:
        kind, item = frame["type"], frame.get("item", {})
        match kind:
            case "conversation.item.added":
                previous = frame["previous_item_id"]
                assert previous is None or previous in self.items, f"{previous} is unknown to the client"
                assert item["id"] not in self.items
                self.items.append(item["id"])
            case "conversation.item.done":
                assert item["id"] in self.items
            case "conversation.item.deleted":
                self.items.remove(frame["item_id"])
            case "response.created":
                assert self.open_response is None
                self.open_response = frame["response"]["id"]
            case "response.output_item.added":
                assert frame["response_id"] == self.open_response
                assert frame["output_index"] == len(self.open_items)
                self.open_items[item["id"]] = item
            case "response.output_item.done":
                assert self.open_items[item["id"]]["status"] == "in_progress"
                self.open_items[item["id"]] = item
            case "response.done":
                assert frame["response"]["id"] == self.open_response
                assert frame["response"]["output"] == list(self.open_items.values())
                assert all(item["status"] != "in_progress" for item in self.open_items.values())
                self.open_response = None
                self.open_items = {}
            case _ if kind.startswith("response."):
                assert frame["response_id"] == self.open_response
                assert frame["item_id"] in self.open_items

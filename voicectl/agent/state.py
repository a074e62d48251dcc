"""Everything one conversation knows, and the commands of the step in progress. Decides nothing."""

from collections.abc import Callable

from voicectl.agent.commands import Command, Emit, EndTurn
from voicectl.agent.history import History
from voicectl.agent.reply import Reply
from voicectl.agent.turn import CallerTurn
from voicectl.core import events as ev
from voicectl.core.events import Tool
from voicectl.core.measures import Measures
from voicectl.core.profile import Profile


class State:
    """What the handlers of a session share. `at` is the instant of the step, in session seconds.

    `turn` is the turn being spoken; `settling` one that is over but not transcribed yet; `reply`
    the draft or the live reply; `queued_response` a reply the client asked for too early.
    `gateway_tools` are functions that the gateway carries out by itself; `context` is what other
    systems know about the caller; `num_unheard` counts turns in a row that could not be transcribed;
    `to_keep` says that this step changed what is kept of the conversation.
    """

    def __init__(self, profile: Profile, new_id: Callable[[str], str], gateway_tools: tuple[Tool, ...] = ()) -> None:
        self.profile = profile
        self.new_id = new_id
        self.history = History()
        self.turn: CallerTurn | None = None
        self.settling: CallerTurn | None = None
        self.reply: Reply | None = None
        self.queued_response: ev.ResponseRequested | None = None
        self.num_hearings = 0
        self.num_unheard = 0
        self.gateway_tools = gateway_tools
        self.context = ""
        self.measures = Measures()
        self.to_keep = False
        self.at = 0.0
        self.commands: list[Command] = []
        self.settings = ev.SessionSettings(
            instructions=profile.llm.system_prompt,
            output_modality="audio",
            endpointing="semantic",
            create_response=True,
            interrupt_response=profile.barge_in.enabled,
            transcription_enabled=True,
            max_output_tokens=profile.llm.max_reply_tokens,
            speed=profile.tts.speed,
            hotwords=profile.stt.hotwords,
            tools=(),
            tool_choice="auto",
            forced_tool="",
        )

    def order(self, command: Command) -> None:
        """Add a command to the step."""
        self.commands.append(command)

    def emit(self, event: ev.CallEvent) -> None:
        """Tell the transport."""
        self.commands.append(Emit(event))

    def changed(self) -> None:
        """Note that what is kept of the conversation changed."""
        self.to_keep = True

    def reject(self, code: str, message: str, event_id: str | None, param: str | None = None) -> None:
        """Refuse a client's action; the conversation goes on."""
        self.emit(ev.ActionRejected(code, message, event_id, param))

    def live_reply(self) -> Reply | None:
        """Return the reply the client knows of, if there is one."""
        return self.reply if self.reply is not None and self.reply.live else None

    def known_reply(self, response_id: str) -> Reply | None:
        """Return the reply with this id if it is the present one; results of former ones are stale."""
        return self.reply if self.reply is not None and self.reply.response_id == response_id else None

    def announce(self, turn: CallerTurn) -> None:
        """Tell the client, once, that the caller speaks."""
        if not turn.announced:
            turn.announced = True
            self.emit(ev.SpeechStarted(turn.item_id, turn.began_position_s))

    def take_floor(self, turn: CallerTurn) -> None:
        """Let the turn count although it began over the agent's voice."""
        turn.over_agent = False
        self.announce(turn)

    def close_turn(self, turn: CallerTurn) -> None:
        """Forget a turn that is settled or dropped."""
        if self.settling is turn:
            self.settling = None
        if self.turn is turn:
            self.turn = None
            self.order(EndTurn())

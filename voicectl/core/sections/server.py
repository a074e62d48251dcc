"""Settings of the gateway: its address, its bounds, and how long it waits."""

from pydantic import Field

from voicectl.core.sections.section import Section


class Timeouts(Section):
    """How long to wait for the outside world, seconds."""

    stt_s: float = Field(default=10.0, gt=0, description="One transcription.", examples=[10.0])
    llm_s: float = Field(default=30.0, gt=0, description="One reply.", examples=[30.0])
    tts_s: float = Field(default=30.0, gt=0, description="One clause.", examples=[30.0])
    turn_s: float = Field(default=2.0, gt=0, description="One end-of-turn decision.", examples=[2.0])
    worker_start_s: float = Field(default=60.0, gt=0, description="A worker's models to load.", examples=[60.0])
    idle_session_s: float = Field(
        default=600.0, gt=0, description="A session without audio or events.", examples=[600.0]
    )
    drain_s: float = Field(default=10.0, ge=0, description="Live sessions after SIGTERM.", examples=[10.0])


class Server(Section):
    """The gateway."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.", examples=["127.0.0.1"])
    port: int = Field(
        default=8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.", examples=[8080]
    )
    max_message_bytes: int = Field(
        default=1_000_000, ge=1024, description="Largest WebSocket message.", examples=[1000000]
    )
    max_sessions: int = Field(default=4, ge=1, description="Calls at the same time.", examples=[4])
    queue_depth: int = Field(default=100, ge=1, description="Bound of every queue.", examples=[100])
    stall_s: float = Field(
        default=5.0, gt=0, description="How long a client may not read, or a call not listen, seconds.", examples=[5.0]
    )
    hangup_s: float = Field(
        default=2.0, gt=0, description="Time a call has to wind up once its caller left, seconds.", examples=[2.0]
    )
    max_session_s: float = Field(default=3600.0, gt=0, description="Longest session, seconds.", examples=[3600.0])
    first_event_s: float = Field(
        default=60.0, gt=0, description="Time a new session has to send its first event, seconds.", examples=[60.0]
    )
    max_connections: int = Field(
        default=1000, ge=1, description="Open connections; idle ones make room for new ones.", examples=[1000]
    )
    handshake_s: float = Field(
        default=10.0, gt=0, description="Time a connection has to send its first request, seconds.", examples=[10.0]
    )
    max_requests: int = Field(
        default=8, ge=1, description="REST requests at the same time; more get 503.", examples=[8]
    )
    max_body_bytes: int = Field(default=2_000_000, ge=1024, description="Largest JSON request.", examples=[2000000])
    max_upload_bytes: int = Field(
        default=25_000_000, ge=1024, description="Largest uploaded recording.", examples=[25000000]
    )
    max_recording_s: float = Field(
        default=900.0, gt=0, le=1800, description="Longest uploaded recording, seconds.", examples=[900.0]
    )
    upload_s: float = Field(
        default=60.0, gt=0, description="Time a request's body may take to arrive, seconds.", examples=[60.0]
    )

"""Settings of other systems that calls use: functions and context over HTTP."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator, model_validator

from voicectl.core.sections.section import Section

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_URL_EXAMPLE = "https://crm.example/orders/status"


def http_url(url: str) -> str:
    """Return `url`. Raises ValueError unless it is an http or https URL with a host and no password in it."""
    parts = urlsplit(url)
    # Reading the port raises ValueError for one that cannot be.
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(f"must be an http:// or https:// URL, not {url!r}")
    if parts.password is not None:
        raise ValueError("must hold no password: name a file with it in header_files")
    if parts.fragment:
        raise ValueError(f"must hold no fragment, not {url!r}")
    return url


class Endpoint(Section):
    """How an address of another system is asked."""

    headers: dict[str, str] = Field(
        default={}, description="Headers of every request.", examples=[{"X-Department": "service"}]
    )
    header_files: dict[str, str] = Field(
        default={},
        description="Headers and the files that hold their values; for secrets. Read at the start.",
        examples=[{"Authorization": "/etc/voicectl/crm-token"}],
    )

    @field_validator("headers", "header_files")
    @classmethod
    def _names_are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"{name!r} is no name of a header")
            if not value.isascii() or not value.isprintable():
                raise ValueError(f"the value of {name} must be printable ASCII on one line")
        return headers


class HttpTool(Endpoint):
    """A function of the language model that is carried out by a request."""

    name: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$", description="Name of the function.", examples=["order_status"]
    )
    description: str = Field(
        min_length=1, description="What it does, for the language model.", examples=["Look up an order."]
    )
    parameters: dict[str, JsonValue] = Field(
        default={"type": "object", "properties": {}, "additionalProperties": False},
        description="JSON schema of the arguments; calls that do not follow it are not sent.",
        examples=[{"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}],
    )
    system: str | None = Field(
        default=None,
        description="What the other system is called in messages to the language model, null for the function's name.",
        examples=["the order system"],
    )
    url: str = Field(description="Address of the function, http or https.", examples=[_URL_EXAMPLE])
    method: Method = Field(
        default="POST",
        description="Method. The arguments are the JSON body, with GET and DELETE the query.",
        examples=["POST"],
    )
    timeout_s: float = Field(
        default=5.0, gt=0, le=120, description="Waiting for the answer, all retries included.", examples=[5.0]
    )
    retries: int = Field(
        default=2, ge=0, le=10, description="Further attempts when there is no answer, or 429 or 5xx.", examples=[2]
    )
    idempotent: bool | None = Field(
        default=None,
        description="Whether the same call may be sent again; only then is it. Null: with GET, PUT and DELETE.",
        examples=[True],
    )
    response_limit_bytes: int = Field(default=8192, ge=16, le=1_048_576, description="Longest answer.", examples=[8192])

    @property
    def repeatable(self) -> bool:
        """Whether the same call may be sent again."""
        return self.method in ("GET", "PUT", "DELETE") if self.idempotent is None else self.idempotent

    @field_validator("url")
    @classmethod
    def _url_is_http(cls, url: str) -> str:
        return http_url(url)

    @field_validator("parameters")
    @classmethod
    def _parameters_are_a_schema(cls, parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
        # Only whoever has functions needs it, and every worker reads profiles.
        import jsonschema_rs

        if parameters.get("type") != "object":
            raise ValueError('must have "type: object" at its top')
        try:
            jsonschema_rs.validator_for(parameters, offline=True)
        except ValueError as error:
            raise ValueError(f"is no JSON schema: {str(error).splitlines()[0]}") from error
        return parameters


class CallContext(Endpoint):
    """Where a call asks what is known about its caller before it begins."""

    url: str | None = Field(
        default=None, description="Address, http or https; null for none.", examples=["https://crm.example/context"]
    )
    method: Literal["GET", "POST"] = Field(
        default="POST",
        description="Method. Session and attributes are the JSON body, with GET the query.",
        examples=["POST"],
    )
    timeout_s: float = Field(
        default=0.5, gt=0, le=30, description="A call begins without an answer that takes longer.", examples=[0.5]
    )
    response_limit_bytes: int = Field(default=4096, ge=16, le=65_536, description="Longest answer.", examples=[4096])

    @field_validator("url")
    @classmethod
    def _url_is_http(cls, url: str | None) -> str | None:
        return None if url is None else http_url(url)


class Integrations(Section):
    """Functions and context over HTTP."""

    tools: tuple[HttpTool, ...] = Field(default=(), description="Functions that the gateway carries out.")
    context: CallContext = Field(default=CallContext(), description="What is known about a caller.")
    max_parallel: int = Field(
        default=16, ge=1, le=1000, description="Requests to other systems at the same time.", examples=[16]
    )
    max_waiting: int = Field(
        default=100, ge=0, description="Function calls that wait for that; more are refused.", examples=[100]
    )
    ca_file: str | None = Field(
        default=None,
        description="PEM file of the authorities that certify the other systems, null for those of the host.",
        examples=["/etc/voicectl/ca.pem"],
    )

    @model_validator(mode="after")
    def _names_differ(self) -> "Integrations":
        names = [tool.name for tool in self.tools]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"names of tools must differ: {', '.join(twice)} is given twice")
        return self

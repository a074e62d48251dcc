"""What pydantic refuses of a file, in this project's words. Knows no schema."""

from typing import Final

from pydantic_core import ErrorDetails

_MOST_SHOWN: Final = 200


def refused_key(problem: ErrorDetails) -> str:
    """Return the dotted name of the key that was refused; empty for the whole."""
    return ".".join(str(step) for step in problem["loc"])


def refused_why(problem: ErrorDetails) -> str:
    """Return what is wrong with it."""
    message = problem["msg"]
    match problem["type"]:
        case "extra_forbidden":
            return "unknown key"
        case "missing":
            return "required, but not set"
        case "value_error":
            return message.removeprefix("Value error, ")
        case _:
            return f"{repr(problem['input'])[:_MOST_SHOWN]} refused: {message[:1].lower()}{message[1:]}"

"""The failures of a function: the document that its caller gets, and the line in its log."""

import json
import sys
import traceback
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure by the name of its kind, with a sentence that quotes nothing of the event."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """Return the failure of an invocation; the exception's own message may quote the event."""
        return cls(kind=type(error).__name__, message="the function failed; its log says why")

    @property
    def document(self) -> bytes:
        """Return the error as Lambda's callers know it, as JSON.

        https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
        """
        members = {"errorMessage": self.message, "errorType": self.kind, "stackTrace": []}
        return json.dumps(members).encode()


def log(error: Exception, request_id: str | None = None) -> None:
    """Log one line of JSON with the stack; of an invocation without the exception's message, which may quote it."""
    line = {
        "level": "ERROR",
        "request_id": request_id or "",
        "error": type(error).__name__,
        "trace": "".join(traceback.format_tb(error.__traceback__)),
    }
    if request_id is None:
        line["message"] = str(error)
    sys.stderr.write(json.dumps(line) + "\n")

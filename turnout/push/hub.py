"""A repository on the Hugging Face Hub, read over HTTP as it is needed: no shard is ever whole on this machine.

https://huggingface.co/docs/hub/api
"""

import http.client
import json
import os
import re
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

from contracts.problems import Code
from turnout.push.errors import PushFailed
from turnout.push.tree import Reader

SOURCE = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
ENDPOINT = "https://huggingface.co"
TIMEOUT_S = 60.0
# The seconds before each try after one that failed without a byte more.
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
# A hub that is asked too often says for how long; no push waits for longer.
MAX_PAUSE_S = 300.0
PASSING = (408, 429, 500, 502, 503, 504)
ADVICE = {
    401: "check its name, or set HF_TOKEN to a token that may read it",
    403: "accept its licence on the hub, and set HF_TOKEN to a token that may read it",
    404: "check its name and its revision",
    429: "wait some minutes, or set HF_TOKEN: the hub lets those with a token ask more",
}


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follow redirects without the token: files lie with other hosts, whose addresses are signed."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        redirected = super().redirect_request(req, fp, code, msg, headers, newurl)
        if redirected and urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            redirected.remove_header("Authorization")
        return redirected


class Hub:
    """One commit of a repository; `pause` waits that many seconds."""

    def __init__(
        self,
        source: str,
        environment: Mapping[str, str] = os.environ,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Read the repository's listing; raise PushFailed."""
        found = SOURCE.fullmatch(source)
        if not found:
            message = "is no repository; write hf://org/name@revision"
            raise PushFailed.about(source, Code.SETTING_INVALID, message)
        self._source, self._repository = source, found[1]
        self._endpoint = environment.get("HF_ENDPOINT", ENDPOINT).rstrip("/")
        self._token = environment.get("HF_TOKEN", "")
        self._pause = pause
        self._opener = urllib.request.build_opener(_Redirect)
        listing = self._listing(found[2] or "main")
        self.commit = str(listing["sha"])
        self.sizes: Mapping[str, int] = {
            str(one["rfilename"]): int(one["size"]) for one in listing["siblings"]
        }
        self._stated = {
            str(one["rfilename"]): str((one.get("lfs") or {}).get("sha256", ""))
            for one in listing["siblings"]
        }

    @property
    def origin(self) -> str:
        return f"hf://{self._repository}@{self.commit}"

    @property
    def named(self) -> str:
        return self._source

    def stated(self, path: str) -> str:
        return self._stated[path]

    def identity(self, path: str) -> tuple[str, str]:
        return f"{self._endpoint} {self.origin} {path}", f"{self.sizes[path]} {self.stated(path)}"

    def open(self, path: str) -> Reader:
        return _File(self, path)

    def _listing(self, revision: str) -> Any:
        path = f"api/models/{self._repository}/revision/{quote(revision, safe='')}?blobs=true"
        try:
            with self.request(path) as answer:
                document = json.load(answer)
            if document["sha"] and all("size" in one for one in document["siblings"]):
                return document
        except (ValueError, LookupError, TypeError) as error:
            message = f"{self._endpoint} answers otherwise than a hub ({error}); check HF_ENDPOINT"
            raise PushFailed.about(self._source, Code.FETCH_FAILED, message) from error
        message = f"{self._endpoint} states no sizes of its files; check HF_ENDPOINT"
        raise PushFailed.about(self._source, Code.FETCH_FAILED, message)

    def file(self, path: str, start: int) -> Any:
        """Return the response that has a file from a byte on; raise PushFailed."""
        answer = self.request(
            f"{self._repository}/resolve/{self.commit}/{quote(path)}",
            {"Range": f"bytes={start}-"} if start else {},
        )
        # Not every server honours a range.
        if start and answer.status != 206:
            left = start
            while left and (block := answer.read(min(left, 1 << 20))):
                left -= len(block)
        return answer

    def request(self, path: str, headers: Mapping[str, str] | None = None) -> Any:
        """Return the hub's response, asked again while a failure may pass; raise PushFailed."""
        for pause in (*PAUSES, None):
            request = urllib.request.Request(
                f"{self._endpoint}/{path}", headers=dict(headers or {})
            )
            if self._token:
                request.add_header("Authorization", f"Bearer {self._token}")
            try:
                return self._opener.open(request, timeout=TIMEOUT_S)
            except HTTPError as error:
                error.close()
                if error.code not in PASSING or pause is None:
                    raise self._refused(error.code, str(error.reason)) from error
                self._pause(_asked_pause(error, pause))
            except (OSError, http.client.HTTPException) as error:
                if pause is None:
                    raise self.unreachable(error) from error
                self._pause(pause)
        raise AssertionError("the last try returns or raises")

    def wait(self, seconds: float) -> None:
        self._pause(seconds)

    def unreachable(self, error: Exception) -> PushFailed:
        message = (
            f"{self._endpoint} cannot be reached ({error}); see whether this machine may reach it, "
            "or download the model into a folder and push that"
        )
        return PushFailed.about(self._source, Code.FETCH_FAILED, message)

    def _refused(self, status: int, reason: str) -> PushFailed:
        advice = ADVICE.get(status, "try again later")
        message = f"{self._endpoint} answers {status} {reason}; {advice}"
        return PushFailed.about(self._source, Code.FETCH_FAILED, message)


class _File:
    """A file of the hub; where the connection ends too early, it is opened again at the next byte."""

    def __init__(self, hub: Hub, path: str) -> None:
        self._hub, self._path = hub, path
        self._size = hub.sizes[path]
        self._offset = 0
        self._answer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def seek(self, offset: int, /) -> int:
        if offset != self._offset:
            self._close()
            self._offset = offset
        return offset

    def read(self, size: int, /) -> bytes:
        wanted = min(size, self._size - self._offset)
        parts: list[bytes] = []
        failures = 0
        while wanted:
            try:
                block = self._block(wanted)
            except (OSError, http.client.HTTPException) as error:
                block, reason = b"", error
            else:
                reason = http.client.IncompleteRead(b"", wanted)
            if block:
                failures = 0
                parts.append(block)
                self._offset += len(block)
                wanted -= len(block)
                continue
            self._close()
            if failures == len(PAUSES):
                raise self._hub.unreachable(reason) from reason
            self._hub.wait(PAUSES[failures])
            failures += 1
        return b"".join(parts)

    def _block(self, wanted: int) -> bytes:
        if self._answer is None:
            self._answer = self._hub.file(self._path, self._offset)
        block: bytes = self._answer.read(min(wanted, 1 << 20))
        return block


def _asked_pause(error: HTTPError, otherwise: float) -> float:
    """Return the seconds that a hub asks to wait."""
    asked = error.headers.get("Retry-After") or ""
    return min(float(asked), MAX_PAUSE_S) if asked.isdecimal() else otherwise

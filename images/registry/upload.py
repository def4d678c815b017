"""The upload of a blob: none where the registry has it, else mounted, in chunks that go on where they stop, or whole.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#push
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin

from contracts.problems import Code, Problem
from images.errors import ImageError
from images.registry.connection import Connection, is_trusted
from images.registry.failures import UnexpectedAnswer

# ECR takes parts of up to 20 MiB, and of at least 5 MiB but for the last.
# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html
CHUNK = 16 << 20
BLOCK = 1 << 20
# The seconds to wait after a failure, and after those that follow it without a byte more being there.
PAUSES = (0.5, 1, 2, 4, 8)
RANGE = re.compile(r"(?:bytes=)?0-(\d+)")
# The registry, or what is before it, cannot answer now; or it has another idea of where the upload is.
TRANSIENT = (408, 416, 429, 500, 502, 503, 504)
# A registry that takes no chunks says so by one of these at the first.
CHUNKS_REFUSED = (400, 405, 411, 415, 501)
OCTETS = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A file that is named by its digest."""

    path: Path
    digest: str
    size: int

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop`; raise ImageError if they are there no more."""
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                while start < stop and (block := file.read(min(BLOCK, stop - start))):
                    start += len(block)
                    yield block
        except OSError as error:
            raise self._changed(error.strerror or str(error)) from error
        # The registry would wait for the rest.
        if start < stop:
            raise self._changed("it is cut short")

    def _changed(self, reason: str) -> ImageError:
        # No OSError, which would be taken for one of the connection.
        message = f"the blob changed while it was sent ({reason}); build the image again, and push"
        return ImageError(self.path, [Problem(code=Code.IMAGE_DAMAGED, message=message)])


class Upload:
    """One blob on its way into a repository."""

    def __init__(
        self,
        connection: Connection,
        blob: Blob,
        told: Callable[[int], None],
        pause: Callable[[float], None],
        chunk: int = CHUNK,
    ) -> None:
        """Name who is told how many bytes are there, each time that these are more or fewer."""
        self._connection, self._blob = connection, blob
        self._told, self._pause, self._chunk = told, pause, chunk
        self._url, self._offset, self._in_chunks = "", 0, True
        self._resumed = False

    def run(self, mounted_from: str = "") -> bool:
        """Have the blob in the repository; return True if its bytes were sent.

        Goes on after failures that may pass, as long as more of the blob is there each few times. Raise HTTPError for a
        refusal, and OSError or HTTPException once the failures do not pass.
        """
        failures, furthest = 0, 0
        while True:
            try:
                return self._go_on(mounted_from)
            except (OSError, HTTPException) as error:
                if not self._may_pass(error):
                    raise
                failures = 0 if self._offset > furthest else failures + 1
                furthest = max(furthest, self._offset)
                if failures > len(PAUSES):
                    raise
            self._pause(PAUSES[max(failures - 1, 0)])

    def _may_pass(self, error: OSError | HTTPException) -> bool:
        """Return True for a failure that the next try may not have."""
        if not isinstance(error, HTTPError):
            return not isinstance(error, UnexpectedAnswer)
        if error.code == 400 and self._resumed:
            # The request that was cut was still being written when the rest came, and the bytes are in disorder.
            self._url, self._resumed = "", False
            return True
        # Docker's registry says 404 of an upload whose request that was cut has not ended there yet.
        return error.code in TRANSIENT or (error.code == 404 and bool(self._url))

    def _go_on(self, mounted_from: str) -> bool:
        if self._url:
            self._find()
        if not self._url and (self._is_there() or not self._begin(mounted_from)):
            return False
        try:
            self._send()
        except HTTPError as error:
            first = self._in_chunks and not self._offset and self._blob.size > self._chunk
            if not first or error.code not in CHUNKS_REFUSED:
                raise
            self._in_chunks = False
            self._begin("")
            self._send()
        return True

    def _is_there(self) -> bool:
        url = self._connection.url(f"blobs/{self._blob.digest}")
        try:
            with self._connection.open("HEAD", url) as answer:
                check_digest(answer, self._blob.digest)
        except HTTPError as error:
            if error.code == 404:
                return False
            raise
        return True

    def _begin(self, mounted_from: str) -> bool:
        """Begin an upload; return False if the registry took the blob from another repository instead."""
        query = {"mount": self._blob.digest, "from": mounted_from} if mounted_from else {}
        path = f"blobs/uploads/?{urlencode(query)}" if query else "blobs/uploads/"
        with self._connection.open("POST", self._connection.url(path), body=bytes) as answer:
            if answer.status == 201 and query:
                check_digest(answer, self._blob.digest)
                return False
            self._expect(answer, 202)
            self._take(answer, stored=0)
            smallest = answer.headers.get("OCI-Chunk-Min-Length") or ""
            self._chunk = max(self._chunk, int(smallest) if smallest.isdecimal() else 0)
        return True

    def _find(self) -> None:
        """Ask how far the upload is; it begins anew where the registry has forgotten it."""
        try:
            with self._connection.open("GET", self._url) as answer:
                self._take(answer, stored=0)
        except HTTPError as error:
            if error.code not in (404, 405):
                raise
            self._url = ""
        # Nothing is lost without the first byte, and some registries say the same of one byte as of none.
        if not self._offset or not self._in_chunks:
            self._url = ""
        self._resumed = bool(self._url)
        if not self._url:
            self._set(0)

    def _send(self) -> None:
        size = self._blob.size
        if self._offset or (self._in_chunks and size > self._chunk):
            while self._offset < size:
                self._send_chunk()
        separator = "&" if "?" in self._url else "?"
        url = f"{self._url}{separator}{urlencode({'digest': self._blob.digest})}"
        with self._request("PUT", url, self._offset, size) as answer:
            self._expect(answer, 201)
            check_digest(answer, self._blob.digest)
        self._set(size)
        self._url = ""

    def _send_chunk(self) -> None:
        start, stop = self._offset, min(self._offset + self._chunk, self._blob.size)
        with self._request("PATCH", self._url, start, stop) as answer:
            self._expect(answer, 202)
            self._take(answer, stored=stop)
        if not start < self._offset <= stop:
            raise UnexpectedAnswer(f"the registry has {self._offset} bytes after {stop} were sent")

    def _request(self, method: str, url: str, start: int, stop: int) -> Any:
        headers = {**OCTETS, "Content-Length": str(stop - start)}
        if method == "PATCH":
            headers["Content-Range"] = f"{start}-{stop - 1}"
        return self._connection.open(method, url, headers, lambda: self._shown(start, stop))

    def _shown(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield bytes of the blob, telling how many have been taken."""
        for block in self._blob.read(start, stop):
            yield block
            start += len(block)
            self._told(start)

    def _take(self, answer: Any, stored: int) -> None:
        """Take from an answer the place of the upload, and how many of its bytes are stored."""
        location = answer.headers.get("Location")
        if location:
            self._url = urljoin(answer.url, location)
        if not self._url or not is_trusted(self._url):
            raise UnexpectedAnswer("the registry names no https address to send the bytes to")
        found = RANGE.fullmatch(answer.headers.get("Range") or "")
        # Registries say 0-0 of an upload without a byte.
        self._set((int(found[1]) + 1 if int(found[1]) else 0) if found else stored)

    def _set(self, offset: int) -> None:
        self._offset = offset
        self._told(offset)

    def _expect(self, answer: Any, status: int) -> None:
        if answer.status != status:
            raise UnexpectedAnswer(f"the registry answered {answer.status} in place of {status}")


def check_digest(answer: Any, digest: str) -> None:
    """Raise UnexpectedAnswer if a registry names another digest than that of the bytes."""
    found = answer.headers.get("Docker-Content-Digest")
    if found and found != digest:
        raise UnexpectedAnswer(f"the registry has it as {found[:80]}, and sent was {digest}")

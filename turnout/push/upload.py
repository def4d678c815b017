"""Files on their way into a bucket: in parts, side by side, each with its SHA-256, going on where a push was cut off.

A key has the digest of what it holds, so that an upload that is found under it is of the same bytes. S3 refuses a part
whose bytes are not those of its SHA-256, and the digest of a whole file is computed on the way:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from contracts.manifest import SealedFile
from contracts.problems import Code
from images.registry.push import Moved
from turnout.deployed.clients import Client, code_of
from turnout.push.errors import PushFailed
from turnout.push.tree import Reader, Tree

# Parts are in memory while they are sent: the one that is read, and so many others.
MIB = 1 << 20
PART = 16 * MIB
IN_FLIGHT = 4
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MAX_PARTS = 10_000
# Times that a part is sent whose bytes arrive otherwise.
ATTEMPTS = 3
DAMAGED = ("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch")
SHA256 = "SHA256"

Told = Callable[[str, Moved], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a file; `checksum` is its SHA-256 in base64, as S3 writes it."""

    number: int
    size: int
    checksum: str
    etag: str = ""


def part_size(size: int, least: int = PART) -> int:
    """Return the bytes of each part of a file: no more parts than S3 takes."""
    needed = -(-size // MAX_PARTS)
    return max(least, -(-needed // MIB) * MIB)


class Uploads:
    """Uploads into a bucket; `told` is called with a file's path each time that more of it is there."""

    def __init__(self, s3: Client, bucket: str, told: Told, *, part: int = PART) -> None:
        self._s3, self._bucket, self._told, self._part = s3, bucket, told, part
        self._pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="push")
        # A part is read only once there is room for it.
        self._room = threading.BoundedSemaphore(IN_FLIGHT)
        self._lock = threading.Lock()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def run(self, tree: Tree, file: SealedFile, key: str) -> Moved:
        """Have a file in the bucket; return how much of it was sent. Raise PushFailed, and botocore's errors."""
        moved = Moved()
        self._told(file.path, moved)
        if self._is_there(file, key):
            moved = Moved(there=file.size)
            self._told(file.path, moved)
            return moved
        with tree.open(file.path) as reader:
            if file.size <= self._part:
                return self._whole(reader, file, key)
            return self._in_parts(reader, file, key)

    def _is_there(self, file: SealedFile, key: str) -> bool:
        """Return True for an object that was complete and compared: it has the digest of all its bytes."""
        from botocore.exceptions import ClientError

        try:
            found = self._s3.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if code_of(error) in ("404", "NoSuchKey", "NotFound"):
                return False
            raise
        known = found.get("Metadata", {}).get("sha256")
        return bool(known == file.sha256 and found["ContentLength"] == file.size)

    def _whole(self, reader: Reader, file: SealedFile, key: str) -> Moved:
        body = reader.read(file.size + 1)
        _check(file, hashlib.sha256(body).hexdigest(), len(body))
        self._sending(
            file,
            lambda: self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ChecksumSHA256=_base64(hashlib.sha256(body).digest()),
                Metadata={"sha256": file.sha256},
            ),
        )
        moved = Moved(sent=file.size)
        self._told(file.path, moved)
        return moved

    def _in_parts(self, reader: Reader, file: SealedFile, key: str) -> Moved:
        upload = self._begun(key) or self._begin(file, key)
        before = self._listed(key, upload)
        progress = _Progress(file.path, self._told, self._lock)
        whole, size = hashlib.sha256(), part_size(file.size, self._part)
        parts: list[Future[Part] | Part] = []
        with self._all_ended(parts):
            while not progress.failed and (body := self._read(reader, size)):
                whole.update(body)
                checksum = _base64(hashlib.sha256(body).digest())
                part = Part(number=len(parts) + 1, size=len(body), checksum=checksum)
                there = before.get(part.number)
                if there and (there.size, there.checksum) == (part.size, checksum):
                    self._room.release()
                    parts.append(there)
                    progress.add(there=part.size)
                    continue
                parts.append(self._pool.submit(self._send, file, key, upload, part, body, progress))
                del body
            # The end of the file takes no room.
            if not progress.failed:
                self._room.release()
        done = [one if isinstance(one, Part) else one.result() for one in parts]
        try:
            _check(file, whole.hexdigest(), sum(part.size for part in done))
        except PushFailed:
            # What is there is not of this file.
            self._s3.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
            raise
        self._complete(file, key, upload, done)
        return progress.moved

    def _read(self, reader: Reader, size: int) -> bytes:
        """Return the next part once there is room for it, which the part keeps until it is sent."""
        self._room.acquire()
        try:
            return reader.read(size)
        except BaseException:
            self._room.release()
            raise

    @contextmanager
    def _all_ended(self, parts: list["Future[Part] | Part"]) -> Iterator[None]:
        """Wait for the parts that are on their way, also after an error."""
        try:
            yield
        finally:
            for one in parts:
                if isinstance(one, Future):
                    one.exception()

    def _begun(self, key: str) -> str:
        """Return the upload that an earlier push began, the latest one; empty where there is none."""
        pages = self._s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=key
        )
        begun = [
            one
            for page in pages
            for one in page.get("Uploads", ())
            if one["Key"] == key and one.get("ChecksumAlgorithm") == SHA256
        ]
        return str(max(begun, key=lambda one: one["Initiated"])["UploadId"]) if begun else ""

    def _begin(self, file: SealedFile, key: str) -> str:
        named, of = {"Bucket": self._bucket, "Key": key}, {"sha256": file.sha256}
        begun = self._s3.create_multipart_upload(**named, ChecksumAlgorithm=SHA256, Metadata=of)
        return str(begun["UploadId"])

    def _listed(self, key: str, upload: str) -> dict[int, Part]:
        """Return the parts that S3 has of an upload, by their numbers."""
        pages = self._s3.get_paginator("list_parts").paginate(
            Bucket=self._bucket, Key=key, UploadId=upload
        )
        return {
            one["PartNumber"]: Part(
                number=one["PartNumber"],
                size=one["Size"],
                checksum=one.get("ChecksumSHA256", ""),
                etag=one["ETag"],
            )
            for page in pages
            for one in page.get("Parts", ())
        }

    def _send(
        self,
        file: SealedFile,
        key: str,
        upload: str,
        part: Part,
        body: bytes,
        progress: "_Progress",
    ) -> Part:
        try:
            answer = self._sending(
                file,
                lambda: self._s3.upload_part(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload,
                    PartNumber=part.number,
                    Body=body,
                    ChecksumSHA256=part.checksum,
                ),
            )
        except BaseException:
            progress.failed = True
            raise
        finally:
            self._room.release()
        progress.add(sent=part.size)
        return replace(part, etag=answer["ETag"])

    def _sending(self, file: SealedFile, send: Callable[[], Any]) -> Any:
        """Return what S3 answers; bytes that arrive otherwise are sent again. Raise PushFailed."""
        from botocore.exceptions import ClientError

        for left in reversed(range(ATTEMPTS)):
            try:
                return send()
            except ClientError as error:
                if code_of(error) not in DAMAGED:
                    raise
                if not left:
                    raise _differs(
                        file, "arrives with other bytes, also when sent again"
                    ) from error
        raise AssertionError("the last attempt returns or raises")

    def _complete(self, file: SealedFile, key: str, upload: str, parts: list[Part]) -> None:
        """Make an object of the parts, and compare what S3 has with what was read; raise PushFailed."""
        from botocore.exceptions import ClientError

        named = [
            {"PartNumber": one.number, "ETag": one.etag, "ChecksumSHA256": one.checksum}
            for one in parts
        ]
        try:
            self._s3.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": named}
            )
        except ClientError as error:
            # Of a call that was repeated, the first one may have come through: the object tells.
            if code_of(error) != "NoSuchUpload":
                raise
        found = self._s3.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        # Behind it S3 writes the number of parts.
        stored = str(found.get("ChecksumSHA256", "")).partition("-")[0]
        if stored != composite(parts) or found["ContentLength"] != file.size:
            self._s3.delete_object(Bucket=self._bucket, Key=key)
            raise _differs(file, "is stored with other bytes than were sent, and was removed again")


class _Progress:
    """The progress of one file, whose parts end in several threads."""

    def __init__(self, path: str, told: Told, lock: threading.Lock) -> None:
        self._path, self._told, self._lock = path, told, lock
        self.moved = Moved()
        # Set by the thread of a part that could not be sent; no further part is read.
        self.failed = False

    def add(self, *, sent: int = 0, there: int = 0) -> None:
        with self._lock:
            self.moved = Moved(sent=self.moved.sent + sent, there=self.moved.there + there)
            self._told(self._path, self.moved)


def composite(parts: list[Part]) -> str:
    """Return the checksum that S3 has of an object of these parts: that of their checksums."""
    digests = b"".join(base64.b64decode(part.checksum) for part in parts)
    return _base64(hashlib.sha256(digests).digest())


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _check(file: SealedFile, sha256: str, size: int) -> None:
    """Raise PushFailed unless the bytes that were read are those of the digest."""
    if (sha256, size) != (file.sha256, file.size):
        raise _differs(file, "has other bytes than its digest says")


def _differs(file: SealedFile, how: str) -> PushFailed:
    message = f"{how}; see that nothing writes to it, and run `turnout push` again"
    return PushFailed.about(file.path, Code.WEIGHTS_DIFFER, message)

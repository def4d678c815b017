"""Files on their way into a bucket: in parts, side by side, each with its SHA-256, going on where a push was cut off.

A key has the digest of what it holds, so that an upload that is found under it is of the same bytes. S3 refuses a part
whose bytes are not those of its SHA-256, and the digest of a whole file is computed on the way:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from contracts.manifest import SealedFile
from contracts.problems import Code
from images.registry.push import Moved
from turnout.deployed.clients import Client, code_of
from turnout.push.errors import PushFailed
from turnout.push.kept import Kept, PartsRecord, checksum_of
from turnout.push.parts import Part, Progress, Told, composite, same, sizes_of
from turnout.push.tree import Reader, Tree

# Parts are in memory while they are sent: the one that is read, and so many others.
IN_FLIGHT = 4
# Times that a part is sent whose bytes arrive otherwise.
ATTEMPTS = 3
DAMAGED = ("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch")
SHA256 = "SHA256"
AGAIN = "see that nothing writes to it, and run `turnout push` again"


class Uploads:
    """Uploads into a bucket; `told` is called with a file's path each time that more of it is there.

    `kept` has the checksums of parts that an earlier push read.
    """

    def __init__(self, s3: Client, bucket: str, told: Told, kept: Kept | None = None) -> None:
        self._s3, self._bucket, self._told = s3, bucket, told
        self._kept = kept or Kept()
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
        with (
            tree.open(file.path) as reader,
            self._kept.record(*tree.identity(file.path), file.size) as record,
        ):
            if file.size <= record.part:
                return self._whole(reader, file, key)
            moved = self._in_parts(reader, file, key, record)
            # Of a folder the checksums are the digest of the next push; a hub states its own.
            if tree.stated(file.path):
                record.forget()
            return moved

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
        if hashlib.sha256(body).hexdigest() != file.sha256:
            raise _changed(file)
        self._sending(
            file,
            lambda: self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ChecksumSHA256=checksum_of(body),
                Metadata={"sha256": file.sha256},
            ),
        )
        moved = Moved(sent=file.size)
        self._told(file.path, moved)
        return moved

    def _in_parts(self, reader: Reader, file: SealedFile, key: str, record: PartsRecord) -> Moved:
        if record.end >= file.size and record.sha256 != file.sha256:
            raise _changed(file)
        upload = self._begun(key) or self._begin(file, key)
        going = _Going(
            reader=reader,
            file=file,
            record=record,
            key=key,
            upload=upload,
            before=self._listed(key, upload),
            progress=Progress(file.path, self._told, self._lock),
        )
        parts: list[Future[Part] | Part] = []
        try:
            with self._all_ended(parts):
                for number, size in enumerate(sizes_of(file.size, record.part), start=1):
                    if going.progress.failed:
                        break
                    parts.append(self._begin_part(going, number, size))
            done = [one if isinstance(one, Part) else one.result() for one in parts]
            record.changed = record.sha256 != file.sha256
            if record.changed:
                raise _changed(file)
        except PushFailed:
            if record.changed:
                # What is there is not of this file.
                record.forget()
                self._s3.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
            raise
        self._complete(file, key, upload, done)
        return going.progress.moved

    def _begin_part(self, of: "_Going", number: int, size: int) -> "Future[Part] | Part":
        """Return a part that S3 has, unread where its checksum is known, or one that is sent from here on."""
        there = same(of.before.get(number), size, of.record.known(number))
        if there is None:
            body = self._read(of, number, size)
            checksum = of.record.known(number)
            there = same(of.before.get(number), size, checksum)
            if there is None:
                part = Part(number=number, size=size, checksum=checksum)
                return self._pool.submit(self._send, of, part, body)
            self._room.release()
        of.progress.add(there=size)
        return there

    def _read(self, of: "_Going", number: int, size: int) -> bytes:
        """Return a part once there is room for it, which the part keeps until it is sent; raise PushFailed."""
        self._room.acquire()
        try:
            of.reader.seek((number - 1) * of.record.part)
            body = of.reader.read(size)
            if not of.record.is_of(number, body):
                raise _changed(of.file)
            return body
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

    def _send(self, of: "_Going", part: Part, body: bytes) -> Part:
        try:
            answer = self._sending(
                of.file,
                lambda: self._s3.upload_part(
                    Bucket=self._bucket,
                    Key=of.key,
                    UploadId=of.upload,
                    PartNumber=part.number,
                    Body=body,
                    ChecksumSHA256=part.checksum,
                ),
            )
        except BaseException:
            of.progress.failed = True
            raise
        finally:
            self._room.release()
        of.progress.add(sent=part.size)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Going:
    """The upload of one file: `before` are the parts that S3 had of it when this push began."""

    reader: Reader
    file: SealedFile
    record: PartsRecord
    key: str
    upload: str
    before: Mapping[int, Part]
    progress: Progress


def _changed(file: SealedFile) -> PushFailed:
    return _differs(file, "has other bytes than its digest says")


def _differs(file: SealedFile, how: str) -> PushFailed:
    return PushFailed.about(file.path, Code.WEIGHTS_DIFFER, f"{how}; {AGAIN}")

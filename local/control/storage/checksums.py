"""Checksums of objects and parts: compared with the bytes that came, and listed, as S3 does and moto does not.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

from moto.s3.exceptions import S3ClientError
from moto.s3.responses import S3Response

HEADER = "x-amz-checksum-sha256"
NUMBER = re.compile(r"<PartNumber>(\d+)</PartNumber>")
Answer = Callable[[Any], Any]


class BadDigest(S3ClientError):  # type: ignore[misc]
    """The bytes are not those of the checksum that came with them."""

    code = 400

    def __init__(self) -> None:
        super().__init__(
            "BadDigest", "The SHA256 you specified did not match the calculated checksum."
        )


def extend() -> None:
    S3Response.upload_part = _compared(S3Response.upload_part)
    S3Response.put_object = _compared(S3Response.put_object)
    S3Response.list_parts = _with_checksums(S3Response.list_parts)


def _compared(answer: Answer) -> Answer:
    def compared(self: Any) -> Any:
        stated = self.headers.get(HEADER)
        if stated and stated != sha256(self.body or b""):
            raise BadDigest
        return answer(self)

    return compared


def _with_checksums(answer: Answer) -> Answer:
    """List the checksum of each part of an upload that was begun with that algorithm."""

    def listed(self: Any) -> Any:
        status, headers, body = answer(self)
        upload = self.backend.get_bucket(self.bucket_name).multiparts[self._get_param("uploadId")]
        if upload.metadata.get("x-amz-checksum-algorithm") != "SHA256":
            return status, headers, body

        def with_checksum(found: re.Match[str]) -> str:
            checksum = sha256(upload.parts[int(found[1])].value)
            return f"{found[0]}<ChecksumSHA256>{checksum}</ChecksumSHA256>"

        return status, headers, NUMBER.sub(with_checksum, body)

    return listed


def sha256(body: bytes) -> str:
    """Return a checksum as S3 writes it."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()

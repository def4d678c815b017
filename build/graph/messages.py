"""Classes of Protocol Buffers messages, made of the fields that are read: a format's own library need not be there."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def message_class(messages: Mapping[str, str], root: str, *, syntax: str) -> Any:
    """Return the class of the root message; its FromString raises DecodeError for damaged bytes.

    `messages` has the fields of each as "name number type"; a star marks a repeated field. Maps are repeated entries of
    key and value, as on the wire. Fields that are left out are skipped when a message is parsed. In proto2 a message
    shows whether it has a field.
    """
    kinds = descriptor_pb2.FieldDescriptorProto
    scalars = {
        "string": kinds.TYPE_STRING,
        "bytes": kinds.TYPE_BYTES,
        "int64": kinds.TYPE_INT64,
        "float": kinds.TYPE_FLOAT,
    }
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{root}.proto", package="turnout", syntax=syntax
    )
    for message, fields in messages.items():
        described = file.message_type.add(name=message)
        for field in fields.split(", "):
            name, number, kind = field.removesuffix("*").split()
            label = kinds.LABEL_REPEATED if field.endswith("*") else kinds.LABEL_OPTIONAL
            made = described.field.add(name=name, number=int(number), label=label)
            if kind in scalars:
                made.type = scalars[kind]
            else:
                made.type, made.type_name = kinds.TYPE_MESSAGE, f".turnout.{kind}"
    # A pool of its own: the names must not meet those of a library that is imported elsewhere.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"turnout.{root}"))

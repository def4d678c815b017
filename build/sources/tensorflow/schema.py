"""The parts of TensorFlow's SavedModel messages that a signature is read from, as Protocol Buffers classes.

TensorFlow's own classes would do, but importing them imports TensorFlow. Names and numbers of fields are those of
tensorflow/core/protobuf/{saved_model,meta_graph}.proto and
tensorflow/core/framework/{graph,node_def,op_def,function,attr_value,tensor_shape}.proto.
"""

from typing import Any

from build.graph.messages import message_class

# In the form that `message_class` takes.
MESSAGES = {
    "SavedModel": "meta_graphs 2 MetaGraphDef*",
    "MetaGraphDef": "meta_info_def 1 MetaInfoDef, graph_def 2 GraphDef, "
    "signature_def 5 SignatureEntry*, asset_file_def 6 AssetFileDef*",
    "MetaInfoDef": "tags 4 string*",
    "AssetFileDef": "filename 2 string",
    "SignatureEntry": "key 1 string, value 2 SignatureDef",
    "SignatureDef": "inputs 1 TensorEntry*, outputs 2 TensorEntry*",
    "TensorEntry": "key 1 string, value 2 TensorInfo",
    "TensorInfo": "name 1 string, dtype 2 int64, tensor_shape 3 TensorShapeProto",
    "TensorShapeProto": "dim 2 Dim*, unknown_rank 3 int64",
    "Dim": "size 1 int64",
    "GraphDef": "node 1 NodeDef*, library 2 FunctionDefLibrary",
    "NodeDef": "name 1 string, op 2 string, input 3 string*, attr 5 AttrEntry*",
    "AttrEntry": "key 1 string, value 2 AttrValue",
    "AttrValue": "func 10 NameAttrList",
    "NameAttrList": "name 1 string",
    "FunctionDefLibrary": "function 1 FunctionDef*",
    "FunctionDef": "signature 1 OpDef, node_def 3 NodeDef*, ret 4 TextEntry*",
    "OpDef": "name 1 string, output_arg 3 ArgDef*",
    "ArgDef": "name 1 string",
    "TextEntry": "key 1 string, value 2 string",
}


def saved_model_class() -> Any:
    """Return the class of SavedModel messages; its FromString raises DecodeError for damaged bytes."""
    # In proto3, as TensorFlow's own files, a string that is not UTF-8 is refused by the parser.
    return message_class(MESSAGES, "SavedModel", syntax="proto3")

"""The schemas of a model and of the list of models, for the OpenAPI document."""

from contracts.api.json_schema import INTEGER, NUMBER, STRING, Schema, array, described, obj
from contracts.tasks import Task, Tier
from functions.router.http.front import STREAMED, WHOLE
from functions.router.targets.health import Condition

TIER: Schema = {"enum": [*Tier]}
NULLABLE_INTEGER: Schema = {"type": ["integer", "null"]}
MODEL_TIER: Schema = {
    "type": "object",
    "properties": {
        "tier": TIER,
        "version": STRING,
        "precision": STRING,
        "proved": {
            "type": "boolean",
            "description": "False while nothing was compared with what these weights answer.",
        },
        "max_inputs": INTEGER,
        "max_chars": INTEGER,
        "max_tokens": INTEGER,
        "deployed": {
            "type": ["boolean", "null"],
            "description": "Null if the registry cannot be read.",
        },
        "deployed_at": NULLABLE_INTEGER,
        "serving": {
            "type": ["array", "null"],
            "description": "The versions that requests get, with their shares: two during a canary.",
            "items": obj({"version": STRING, "percent": INTEGER}),
        },
        "state": {
            "enum": [*Condition],
            "description": "As the instance of the router that answers has learned it from the tier's answers.",
        },
        "latency_ms": {
            "type": "object",
            "description": "The milliseconds of one input, or of each token that is written, by the tokens that "
            "are read, as measured by the build.",
            "additionalProperties": NUMBER,
        },
        "observed_token_ms": {
            "type": ["number", "null"],
            "description": "The milliseconds per estimated token of the tier's last answers.",
        },
    },
}
DRIFT: Schema = {
    "type": "object",
    "description": "Of the kept inputs, `samples` were asked on the GPU tier as well, which answered `disagreed` of "
    "them otherwise. With an `evidence` of 20, that is more often than on the rows, and the threshold is `withdrawn`.",
    "properties": {
        "samples": INTEGER,
        "disagreed": INTEGER,
        "evidence": NUMBER,
        "withdrawn": {"type": "boolean"},
    },
}
CASCADE: Schema = {
    "type": "object",
    "description": "The CPU tier's answer is kept from this confidence on. Of `test_rows` a share was `kept`, and a "
    "share `lost`: wrong, where the GPU tier is right. Of other inputs at most `bound` are lost, with the probability "
    "`assurance`.",
    "properties": {
        "threshold": NUMBER,
        "parameters": {"type": "object"},
        "test_rows": INTEGER,
        "kept": NUMBER,
        "lost": NUMBER,
        "bound": {
            "type": ["number", "null"],
            "description": "Null if there are `doubts`, or the threshold is withdrawn.",
        },
        "assurance": NUMBER,
        "doubts": array(STRING),
        "off": {"type": ["string", "null"], "description": "Why nothing is escalated now."},
        "drift": {"anyOf": [DRIFT, {"type": "null"}]},
    },
}
SPLIT = described(
    obj({tier.value: INTEGER for tier in Tier}),
    "The weights by which clients are divided between the tiers.",
)
MODEL: Schema = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by", "task", "tiers"],
    "properties": {
        "id": STRING,
        "object": {"const": "model"},
        "created": described(INTEGER, "The time of its deployment, in seconds since 1970."),
        "owned_by": STRING,
        "task": {"enum": [*Task]},
        "labels": array(STRING),
        "dimensions": NULLABLE_INTEGER,
        "shorter_dimensions": described(
            array(INTEGER), "Fewer dimensions that a request may ask for."
        ),
        "cascade": {"anyOf": [CASCADE, {"type": "null"}]},
        "split": {"anyOf": [SPLIT, {"type": "null"}]},
        "chat": described({"type": "boolean"}, "Whether it takes chats."),
        "tiers": array(MODEL_TIER),
    },
}
MODELS: Schema = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {
        "object": {"const": "list"},
        "data": array(MODEL),
        "urls": described(
            obj({WHOLE: STRING, STREAMED: STRING}, optional=(STREAMED,)),
            "Of a deployment that streams or has a custom domain: where answers come whole, and where they may come as "
            "they are written.",
        ),
    },
}

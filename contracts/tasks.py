"""The tasks of models, the tiers they run on, what serves and runs them there, and what wakes one that sleeps."""

from enum import StrEnum


class Task(StrEnum):
    """The tasks that can be served, by their Hugging Face names if they have one."""

    TEXT_CLASSIFICATION = "text-classification"
    TOKEN_CLASSIFICATION = "token-classification"
    ZERO_SHOT_CLASSIFICATION = "zero-shot-classification"
    TEXT_RANKING = "text-ranking"
    FEATURE_EXTRACTION = "feature-extraction"
    FILL_MASK = "fill-mask"
    QUESTION_ANSWERING = "question-answering"
    TEXT_GENERATION = "text-generation"
    TEXT2TEXT_GENERATION = "text2text-generation"
    LANGUAGE_MODEL_SCORING = "language-model-scoring"
    WORD_VECTORS = "word-vectors"


# The tasks whose models write text token by token, so that their answers can be streamed.
WRITING_TASKS = (Task.TEXT_GENERATION, Task.TEXT2TEXT_GENERATION)


# The tasks whose models are encoders: they read a whole text at once.
ENCODER_TASKS = frozenset(Task) - {
    *WRITING_TASKS,
    Task.LANGUAGE_MODEL_SCORING,
    Task.WORD_VECTORS,
}


class Tier(StrEnum):
    """The two kinds of place a model is deployed to."""

    CPU = "cpu"
    GPU = "gpu"


class Runtime(StrEnum):
    """The libraries that compute a model's graph on a CPU tier.

    AUTO is a setting and computes nothing: OpenVINO for an encoder that the build finds to answer sooner with it.
    """

    AUTO = "auto"
    ONNX_RUNTIME = "onnxruntime"
    OPENVINO = "openvino"

    @property
    def spelt(self) -> str:
        """Return the name as its authors spell it; the value is that of its package."""
        return {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}.get(self, self)


class Wake(StrEnum):
    """The requests that wake a GPU tier which sleeps.

    PINNED are those that no other tier takes: they name the tier, or are over the limits of the CPU tier, or the model
    has none. ESCALATION are these and all others that the router would send there.
    """

    PINNED = "pinned"
    ESCALATION = "escalation"
    NEVER = "never"


class Server(StrEnum):
    """The servers that a GPU tier's container runs: ours, or vLLM in AWS's container, with weights from S3.

    AUTO is a setting and serves nothing: vLLM where the model's weights were pushed, else ours.
    """

    AUTO = "auto"
    TURNOUT = "turnout"
    VLLM = "vllm"

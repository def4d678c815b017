"""The settings of a sentence-transformers folder: its modules, their configs, and those of the whole model."""

from build.sources.huggingface.pooling_config import MODES
from build.sources.huggingface.settings.setting import Setting, harmless, honoured, refused

VECTOR = "sentence_embedding"
OTHER_VECTORS, ITS_OWN = "is of other vectors than those of whole texts", f"set it to {VECTOR}"

MODULES: tuple[Setting, ...] = (
    *honoured("pooling_config.read_pooling", "The modules, in their order.", "type"),
    *honoured("pooling_config.read_pooling", "The folder of a module.", "path"),
    *harmless("The order is that of the list.", "idx", "name"),
    *refused("hands arguments of a call to a module", "take it out", "kwargs", fine=([],)),
)
TRANSFORMER: tuple[Setting, ...] = (
    *honoured(
        "folder.read_max_tokens", "The most tokens that are read of a text.", "max_seq_length"
    ),
    *honoured("pooling_config.lowercase", "Small letters, before all else.", "do_lower_case"),
    *honoured(
        "chat.reranker._own_modules", "What a cross-encoder's model computes.", "transformer_task"
    ),
    *honoured(
        "chat.reranker._conversation",
        "Whether texts go through the chat template: a cross-encoder's do; an embedder is refused with it.",
        "modality_config",
    ),
    *honoured(
        "chat.reranker._variables",
        "The variables of a cross-encoder's chat template; anything else in it is refused.",
        "processing_kwargs",
    ),
    *harmless("It names the output within the library.", "module_output_name"),
    *harmless("It changes speed alone.", "unpad_inputs"),
    *harmless(
        "It is of models with several vectors for a text.", "query_length", "document_length"
    ),
    *refused("adds tokens to queries", "take it out", "query_expansion"),
    *refused(
        "hands arguments to transformers",
        "put them into config.json or tokenizer_config.json",
        "model_args model_kwargs tokenizer_args processor_kwargs config_args config_kwargs",
        fine=({},),
    ),
    *refused("reads another tokenizer", "take it out", "tokenizer_name_or_path", fine=("",)),
)
POOLING: tuple[Setting, ...] = (
    *honoured("pooling_config._modes", "How vectors of tokens become one.", "pooling_mode", *MODES),
    *harmless("It follows from the weights.", "embedding_dimension", "word_embedding_dimension"),
    *refused(
        "leaves a prompt's tokens out of the pooling",
        "set it to true",
        "include_prompt",
        fine=(True,),
    ),
)
DENSE: tuple[Setting, ...] = (
    *honoured("pooling_config._dense", "The activation of the layer.", "activation_function"),
    *refused(OTHER_VECTORS, ITS_OWN, "module_input_name module_output_name", fine=(VECTOR,)),
    *refused(
        "adds the layer's input to its output", "use another model", "use_residual", fine=(False,)
    ),
    *harmless("It follows from the weights.", "in_features", "out_features", "bias"),
)
LOGIT_SCORE: tuple[Setting, ...] = (
    *honoured(
        "tasks.token_scores.add_head",
        "The tokens whose logits are the score.",
        "true_token_id false_token_id",
    ),
    *refused(
        "is of other numbers than the logits of tokens",
        "set it to causal_logits",
        "module_input_name",
        fine=("causal_logits",),
    ),
)
NORMALIZE: tuple[Setting, ...] = refused(
    OTHER_VECTORS, ITS_OWN, "module_input_name module_output_name", fine=(VECTOR,)
)
WHOLE_MODEL: tuple[Setting, ...] = (
    *honoured(
        "tasks.prompts.details", "The texts that a request may have put before its own.", "prompts"
    ),
    *honoured(
        "tasks.prompts.details", "The prompt of a request that names none.", "default_prompt_name"
    ),
    *harmless("It compares vectors, which the caller does.", "similarity_fn_name"),
    *harmless("It describes how the model was made.", "__version__", "model_type", "requirements"),
    *honoured("tasks.text_ranking.details", "The activation of a cross-encoder.", "activation_fn"),
    *harmless("Each model is run in full precision.", "keep_in_fp32_modules"),
    *refused(
        "shortens every vector",
        "take it out, and name its length in `dimensions` of models.toml",
        "truncate_dim",
    ),
)

"""The settings of generation_config.json; those by which transformers fetches code are in `code_settings`."""

from build.sources.huggingface.generation_config import TOKENS, WISHES
from build.sources.huggingface.settings.setting import Setting, harmless, honoured, refused

SAME = "It finds the same tokens in another way."

SETTINGS: tuple[Setting, ...] = (
    *honoured("generation_config.details", "Start and end of a generated text.", *TOKENS),
    *honoured(
        "generation_config._wishes", "The default of a request, or a change of the logits.", *WISHES
    ),
    *harmless("Texts are generated one by one, without padding.", "pad_token_id"),
    *harmless(
        SAME,
        "use_cache use_mtp cache_config max_cache_len is_assistant num_assistant_tokens "
        "num_assistant_tokens_schedule assistant_confidence_threshold prompt_lookup_num_tokens "
        "max_matching_ngram_size assistant_early_exit assistant_lookbehind target_lookbehind "
        "assistant_ensemble_weight speculation_type compile_config disable_compile "
        "continuous_batching_config prefill_chunk_size",
    ),
    *harmless(
        "It describes the file, or adds to the output of a call.",
        "output_attentions output_hidden_states output_scores output_logits "
        "return_dict_in_generate _from_model_config transformers_version chat_format "
        "max_context_length task_specific_params",
    ),
    *refused(
        "runs the beams of a search one by one, which transformers 5 no longer does",
        "set it to false",
        "low_memory",
        fine=(False,),
    ),
    *refused("generates several texts for one", "set it to 1", "num_return_sequences", fine=(1,)),
    *refused(
        "needs a second run of the model for each token", "take it out", "guidance_scale", fine=(1,)
    ),
    *refused("marks texts by their choice of tokens", "take it out", "watermarking_config"),
    *refused(
        "is another search than for the likeliest token",
        "take it out",
        "diversity_penalty",
        fine=(0,),
    ),
    *refused(
        "ends a text behind these strings, where `stop` of a request ends it before",
        "take it out and send `stop`",
        "stop_strings",
    ),
    *refused("ends a text after a time", "take it out; the tier's timeout ends texts", "max_time"),
    *refused(
        "changes the last token of a prompt", "set it to false", "token_healing", fine=(False,)
    ),
    *refused(
        "turns NaN into numbers, where a request fails",
        "set it to false",
        "remove_invalid_values",
        fine=(False,),
    ),
    *refused(
        "keeps the tokens read so far in fewer bits or in a window",
        "take it out",
        "cache_implementation",
        fine=("dynamic", "static", "offloaded", "hybrid", "hybrid_static", "sliding_window"),
    ),
)

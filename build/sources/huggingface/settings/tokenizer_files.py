"""The settings of tokenizer_config.json, tokenizer.json and special_tokens_map.json."""

from build.sources.huggingface.settings.setting import Setting, harmless, honoured, refused
from build.sources.huggingface.tokenizer_settings import NAMED

ADDED = "tokenizer_settings.added_tokens"
CHAT = "A chat has no tools, its template writes the system's message, and its special tokens are read."

TOKENIZER_CONFIG: tuple[Setting, ...] = (
    *honoured(
        "tokenizer_class.tokenizer_class",
        "The class, which decides what else counts.",
        "tokenizer_class",
    ),
    *honoured(
        "folder.read_max_tokens",
        "The most tokens that are read of a text.",
        "model_max_length max_len",
    ),
    *honoured(
        "tokenizer_class.gives_token_types",
        "Whether a model gets token types, or zeros.",
        "model_input_names",
    ),
    *honoured(
        "tokenizer_settings.truncation", "The side on which long texts are cut.", "truncation_side"
    ),
    *honoured(
        "tokenizer_parts.normalizers.bert",
        "Small letters, in BERT's, ALBERT's and DeBERTa-v2's classes.",
        "do_lower_case",
    ),
    *honoured(
        "tokenizer_parts.normalizers.bert",
        "What becomes of accents and Chinese characters.",
        "strip_accents tokenize_chinese_chars",
    ),
    *honoured("tokenizer_parts.normalizers.albert", "Whether accents stay.", "keep_accents"),
    *honoured(
        "tokenizer_parts.pre_tokenizers.deberta_v2",
        "Whether punctuation is split off.",
        "split_by_punct",
    ),
    *honoured(
        "tokenizer_parts.pre_tokenizers.begins_with_space",
        "A space before the first word.",
        "add_prefix_space",
    ),
    *honoured(
        "tokenizer_parts.pre_tokenizers.llama",
        "A space behind each special token, in Llama's class.",
        "legacy",
    ),
    *honoured(
        "tokenizer_parts.post_processors.roberta",
        "Whether a word's place in its text is without the space before it, in RoBERTa's class.",
        "trim_offsets",
    ),
    *honoured(
        ADDED,
        "Special tokens, which no text is split within.",
        *NAMED,
        "extra_special_tokens additional_special_tokens",
    ),
    *honoured(ADDED, "Tokens besides the vocabulary, with their flags.", "added_tokens_decoder"),
    *honoured(
        "marian.folder.files_of",
        "Whether Marian's texts are written with other ids than they are read with.",
        "separate_vocabs",
    ),
    *harmless(
        "It is of a step of Marian's that transformers has and does not run.",
        "source_lang target_lang",
    ),
    *harmless(
        "transformers 5 leaves it to the post-processor in tokenizer.json, which is served.",
        "add_bos_token add_eos_token from_slow sp_model_kwargs "
        "add_dummy_prefix spaces_between_special_tokens remove_space",
    ),
    *harmless(
        "A text is run without padding, or its padding is masked.",
        "padding_side pad_token_type_id pad_to_multiple_of padding",
    ),
    *harmless(
        "It is no text's, but of a call.",
        "max_length stride truncation truncation_strategy return_tensors verbose",
    ),
    *honoured(
        "generation_config._cleans_up",
        "Whether spaces before punctuation are taken out of a generated text; never with BPE.",
        "clean_up_tokenization_spaces",
    ),
    *honoured(
        "chat.template_files.program_of",
        "The text that a chat becomes, where there is no chat_template.jinja; of rerankers, that of a pair.",
        "chat_template",
    ),
    *harmless(
        CHAT,
        "response_template response_schema use_default_system_prompt chat_control_tokens",
    ),
    *harmless(
        "Where the file came from.",
        "name_or_path special_tokens_map_file tokenizer_file vocab_file merges_file backend "
        "is_local local_files_only processor_class model_type files_loaded unk_id source_spm "
        "target_spm target_vocab_file",
    ),
    *harmless(
        "The fast classes have no such code.",
        "do_basic_tokenize never_split use_fast errors vocab_type wordpieces_prefix extra_ids "
        "tokenizer_type clean_text",
    ),
    *refused(
        "splits special tokens as other words",
        "set it to false",
        "split_special_tokens",
        fine=(False,),
    ),
    *refused(
        "changes generated texts of byte-level tokenizers",
        "set it to false",
        "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
        fine=(False,),
    ),
    *refused(
        "replaces the pre-tokenizer of large vocabularies",
        "save the tokenizer again and take it out",
        "fix_mistral_regex",
        fine=(False,),
    ),
)
TOKENIZER: tuple[Setting, ...] = (
    *honoured(
        "tokenizer.read_tokenizer_of",
        "The file is served, but for what its class makes itself and what the files beside it change.",
        "added_tokens normalizer pre_tokenizer model post_processor decoder",
    ),
    *honoured(
        "tokenizer_settings.truncation",
        "Its `direction`; the length is that of the model.",
        "truncation",
    ),
    *harmless("A text is run without padding, or its padding is masked.", "padding"),
    *harmless("The version of the format.", "version"),
)
SPECIAL_TOKENS_MAP: tuple[Setting, ...] = honoured(
    "tokenizer_settings.special_tokens",
    "Special tokens, read where tokenizer_config.json has no `added_tokens_decoder`.",
    *NAMED,
    "additional_special_tokens extra_special_tokens",
)

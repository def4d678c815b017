"""Every honoured setting has a test that flips it and compares what is answered with the library's answer."""

from collections.abc import Mapping

from build.sources.huggingface.folder_files import SENTENCE_CONFIGS
from build.sources.huggingface.generation_config import TOKENS, WISHES
from build.sources.huggingface.pooling_config import MODES
from build.sources.huggingface.settings.setting import GRAPH, Effect
from build.sources.huggingface.settings.table import (
    CONFIG,
    DENSE,
    GENERATION,
    LOGIT_SCORE,
    MODULES,
    POOLING,
    TABLE,
    WHOLE_MODEL,
)
from build.sources.huggingface.tokenizer_settings import NAMED
from functions.inference.beam_search import KEYS as SEARCHED
from tests.fixtures.paths import ROOT

HERE, ENGINE = "tests/build/sources/huggingface", "tests/functions/inference"
TOKENIZERS, FOLLOWED = f"{HERE}/test_tokenizer_settings.py", f"{HERE}/test_followed_settings.py"
FLIPPED = f"{TOKENIZERS}::test_every_setting_of_a_tokenizer_is_followed_as_transformers_follows_it"
OLDER = f"{TOKENIZERS}::test_older_files_of_special_and_added_tokens_are_read"
TEMPLATES = f"{HERE}/test_chat_templates.py::test_templates_are_those_of_transformers_and_with_them_the_special_tokens"
CLASSES = f"{TOKENIZERS}::test_a_model_gets_token_types_where_transformers_gives_it_some"
SHIFTED = f"{FOLLOWED}::test_positions_behind_the_padding_s_are_not_counted"
LENGTHS = f"{FOLLOWED}::test_a_text_is_read_up_to_the_tokenizer_s_limit"
GENERATED = f"{ENGINE}/test_generation_settings.py"
WITHOUT = f"{GENERATED}::test_without_that_file_the_settings_are_those_of_config_json"
HEADS = f"{ENGINE}/test_classifier_heads.py"
POOLED = "tests/build/export/test_pooling.py"
ACTIVATED = f"{HEADS}::test_every_kind_of_classifier_scores_as_the_pipeline"
RANKED = f"{FOLLOWED}::test_a_cross_encoder_scores_by_its_own_activation"
SENTENCES = f"{FOLLOWED}::test_a_sentence_model_s_length_and_small_letters_are_those_of_its_library"
RERANKERS = "tests/build/reading/decoders/test_rerankers.py"
SCORED = f"{RERANKERS}::test_texts_have_the_scores_of_their_library"

# By file: a test, and the keys that it flips. Those of graphs have a table of their own, in test_model_settings.py.
TRIED: Mapping[str, Mapping[str, str]] = {
    CONFIG: {
        f"{HERE}/test_served_architectures.py::": "model_type architectures",
        f"{HEADS}::test_labels_are_the_configs_or_else_those_of_the_table": "id2label",
        f"{HEADS}::test_outputs_without_names_are_as_many_as_num_labels_says": "num_labels",
        f"{HEADS}::test_entailment_is_where_label2id_says_and_where_the_users_names_say": "label2id",
        ACTIVATED: "problem_type",
        RANKED: "sentence_transformers sbert_ce_default_activation_function",
        SHIFTED: "max_position_embeddings pad_token_id",
        f"{ENGINE}/test_generation.py::test_the_whole_context_can_be_used": "n_positions",
        "tests/build/sources/test_readers.py::test_an_unusable_source_is_named_with_what_to_do": "vocab_size n_words",
        f"{TOKENIZERS}::test_a_class_may_be_named_in_config_json": "tokenizer_class",
        WITHOUT: "is_encoder_decoder bos_token_id eos_token_id decoder_start_token_id forced_bos_token_id "
        "forced_eos_token_id",
    },
    "tokenizer_config.json": {
        CLASSES: "tokenizer_class model_input_names",
        TEMPLATES: "chat_template",
        f"{ENGINE}/test_marian_tokens.py::test_every_text_becomes_the_tokens_of_transformers": "separate_vocabs",
        LENGTHS: "model_max_length max_len",
        f"{GENERATED}::test_spaces_before_punctuation_are_taken_out_as_by_transformers": "clean_up_tokenization_spaces",
        f"{FOLLOWED}::test_long_texts_lose_the_end_that_truncation_side_names": "truncation_side",
        FLIPPED: "do_lower_case strip_accents tokenize_chinese_chars keep_accents split_by_punct add_prefix_space "
        "legacy trim_offsets "
        "extra_special_tokens additional_special_tokens",
        f"{TOKENIZERS}::test_what_tokenizer_json_cannot_hold_or_contradicts_is_named": " ".join(
            NAMED
        ),
        f"{TOKENIZERS}::test_flags_of_added_tokens_are_those_that_count_in_transformers": "added_tokens_decoder",
    },
    "tokenizer.json": {
        FLIPPED: "added_tokens normalizer pre_tokenizer model post_processor decoder",
        f"{TOKENIZERS}::test_texts_are_cut_on_the_side_of_tokenizer_config_or_else_of_tokenizer_json": "truncation",
    },
    "special_tokens_map.json": {
        OLDER: f"{' '.join(NAMED)} additional_special_tokens extra_special_tokens"
    },
    GENERATION: {
        f"{GENERATED}::test_a_request_without_parameters_follows_the_model_s_own_settings": " ".join(
            key for key in (*WISHES, *TOKENS) if key not in SEARCHED
        ),
        f"{ENGINE}/test_beam_search.py::test_the_best_text_is_that_of_transformers": " ".join(
            SEARCHED
        ),
    },
    SENTENCE_CONFIGS[0]: {
        SENTENCES: "max_seq_length do_lower_case",
        SCORED: "modality_config",
        f"{RERANKERS}::test_a_setting_of_a_reranker_that_is_not_served_is_named": "transformer_task processing_kwargs",
    },
    LOGIT_SCORE: {SCORED: "true_token_id false_token_id"},
    MODULES: {
        f"{POOLED}::test_tokens_become_one_vector_as_the_folder_says": "type",
        f"{POOLED}::test_a_module_outside_of_the_folder_is_not_read": "path",
    },
    POOLING: {
        f"{POOLED}::test_both_forms_of_a_pooling_s_settings_are_read": f"pooling_mode {' '.join(MODES)}"
    },
    DENSE: {
        f"{POOLED}::test_a_layer_over_the_vector_comes_before_its_length_is_made_one": "activation_function"
    },
    WHOLE_MODEL: {
        RANKED: "activation_fn",
        f"{ENGINE}/test_prompts.py::test_an_embedder_puts_the_named_prompt_before_each_text": "prompts",
        f"{ENGINE}/test_prompts.py::test_without_a_name_an_embedder_s_default_prompt_applies": "default_prompt_name",
    },
}


def test_every_honoured_setting_names_a_test_that_flips_it() -> None:
    for file, settings in TABLE.items():
        honoured = {
            setting.key
            for setting in settings
            if setting.effect is Effect.HONOURED and setting.read_by != GRAPH
        }
        tried = {key for keys in TRIED.get(file, {}).values() for key in keys.split()}
        assert tried == honoured, file


def test_the_tests_that_are_named_are_there() -> None:
    for tests in TRIED.values():
        for test in tests:
            path, name = test.split("::")
            text = (ROOT / path).read_text("utf-8")
            assert f"def {name or 'test'}" in text, test

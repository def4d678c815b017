"""The settings of config.json."""

from build.sources.huggingface.settings.setting import Setting, graph, harmless, honoured, refused

TRAINING = "It is used in training alone."
OTHER_HEADS = "It belongs to a head of another task."
METADATA = "It describes how the model was made."
SPEED = "It changes speed or memory alone."
TOKENIZED = "The tokenizer makes the ids."
GENERATED = "generation_config.json, and this file only where there is none"

SETTINGS: tuple[Setting, ...] = (
    *honoured(
        "served_architectures.architecture_problem",
        "The architecture and its head.",
        "model_type architectures is_encoder_decoder",
    ),
    *honoured("labels.read_labels", "The labels, in the order of their ids.", "id2label"),
    *honoured(
        "labels.read_labels", "The number of outputs that `id2label` names none of.", "num_labels"
    ),
    *honoured(
        "tasks.text_classification.details",
        "Whether the labels exclude each other, or are numbers.",
        "problem_type",
    ),
    *honoured(
        "config.read_settings",
        "The most tokens that are read of a text, less those before the first position.",
        "max_position_embeddings n_positions",
    ),
    *honoured(
        "tasks.zero_shot_classification.details",
        "The label that stands for entailment.",
        "label2id",
    ),
    *honoured(
        "tasks.text_ranking.details",
        "The activation of a cross-encoder.",
        "sentence_transformers sbert_ce_default_activation_function",
    ),
    *honoured("config.read_settings", "The id that texts are padded with.", "pad_token_id"),
    *honoured("folder._check_vocabulary", "The ids that the model has rows for.", "vocab_size"),
    *honoured("config.read_settings", "The same, as older releases of XLM wrote it.", "n_words"),
    *honoured(
        "tokenizer_class.tokenizer_class",
        "The class of the tokenizer, where tokenizer_config.json names none.",
        "tokenizer_class",
    ),
    *honoured(
        "generation_config.details",
        f"Start and end of a generated text: {GENERATED}.",
        "bos_token_id eos_token_id decoder_start_token_id forced_bos_token_id forced_eos_token_id",
    ),
    *graph(
        "The sizes of the layers.",
        "hidden_size dim d_model n_embd embedding_size input_embedding_size output_embedding_size "
        "intermediate_size hidden_dim d_ff n_inner d_kv head_dim "
        "intra_bottleneck_size emb_dim encoder_ffn_dim decoder_ffn_dim",
    ),
    *graph(
        "The number of layers, and which of them share weights.",
        "num_hidden_layers n_layers n_layer num_layers num_decoder_layers num_hidden_groups "
        "inner_group_num num_feedforward_networks encoder_layers decoder_layers",
    ),
    *graph(
        "The heads of attention.",
        "num_attention_heads n_heads n_head num_heads num_key_value_heads head_ratio num_groups "
        "conv_kernel_size conv_groups talking_head encoder_attention_heads decoder_attention_heads",
    ),
    *graph(
        "The activation between layers.",
        "hidden_act hidden_activation activation activation_function feed_forward_proj "
        "dense_act_fn is_gated_act gelu_activation pooler_hidden_act classifier_activation",
    ),
    *graph(
        "The normalisation of layers.",
        "layer_norm_eps layer_norm_epsilon rms_norm_eps norm_eps normalization_type norm_bias "
        "emb_layer_norm_before norm_rel_ebd",
    ),
    *graph(
        "The positions of tokens.",
        "rope_parameters rope_theta rope_scaling local_rope_theta global_rope_theta rotary_value "
        "relative_attention relative_attention_num_buckets relative_attention_max_distance "
        "max_relative_positions position_buckets pos_att_type share_att_key position_biased_input "
        "original_max_position_embeddings rope_local_base_freq",
    ),
    *graph(
        "How far attention reaches in which layer.",
        "sliding_window use_sliding_window max_window_layers layer_types local_attention "
        "global_attn_every_n_layers sliding_window_pattern "
        "use_bidirectional_attention is_causal",
    ),
    *graph(
        "Numbers that scale weights.",
        "scale_attn_weights scale_attn_by_inverse_layer_idx scale_decoder_outputs scale_embedding "
        "query_pre_attn_scalar final_logit_softcapping",
    ),
    *graph(
        "Which layers have a bias.",
        "attention_bias mlp_bias classifier_bias decoder_bias",
    ),
    *graph("Whether the output shares the embedding's weights.", "tie_word_embeddings"),
    *graph("The kinds of token types that the model knows.", "type_vocab_size"),
    *graph(
        "The token whose vector a classifier reads.",
        "classifier_pooling summary_type summary_use_proj summary_activation summary_proj_to_labels",
    ),
    *graph(
        "Parts of one architecture alone.",
        "trigram_input use_bottleneck use_bottleneck_attention key_query_shared_bottleneck "
        "token_dropout mask_token_id legacy k_groups q_groups v_groups post_attention_groups "
        "intermediate_groups output_groups conv_act",
    ),
    *harmless(
        TRAINING,
        "attention_dropout attention_probs_dropout_prob attn_pdrop classifier_dropout "
        "classifier_dropout_prob dropout dropout_rate embd_pdrop embedding_dropout "
        "hidden_dropout_prob hidden_dropout layerdrop mlp_dropout pooler_dropout qa_dropout "
        "resid_pdrop seq_classif_dropout summary_first_dropout summary_last_dropout "
        "initializer_cutoff_factor initializer_factor initializer_range init_std embed_init_std "
        "gradient_checkpointing sparse_pred_ignore_index sparse_prediction loss_type "
        "classifier_regularization cls_dropout encoder_layerdrop decoder_layerdrop activation_dropout "
        "classif_dropout",
    ),
    *harmless(
        "Each model is run in full precision, whatever it was saved in.",
        "dtype torch_dtype",
    ),
    *harmless(
        SPEED,
        "use_cache pretraining_tp reorder_and_upcast_attn deterministic_flash_attn "
        "reference_compile chunk_size_feed_forward force_dequant repad_logits_with_grad",
    ),
    *harmless(
        METADATA,
        "_name_or_path transformers_version finetuning_task language _commit_hash directionality "
        "task_specific_params",
    ),
    *graph(
        "Whether the decoder has words of its own, and how many.",
        "share_encoder_decoder_embeddings decoder_vocab_size",
    ),
    *harmless(
        "It is of older releases; transformers 5 has no code that reads it.",
        "add_bias_logits add_final_layer_norm normalize_before normalize_embedding "
        "static_position_embeddings extra_pos_embeddings force_bos_token_to_be_generated",
    ),
    *harmless(
        "It says what vectors may be cut to; `dimensions` of models.toml decides, where `turnout init` writes it.",
        "matryoshka_dimensions is_matryoshka",
    ),
    *harmless(
        "The ids of labels follow from `id2label`.",
        "_num_labels",
    ),
    *harmless(
        TOKENIZED,
        "cls_token_id sep_token_id mask_index unk_index lang_id question_token_id "
        "vocab_list bos_index eos_index pad_index",
    ),
    *harmless(OTHER_HEADS, "start_n_top end_n_top esmfold_config asm asm_cutoffs asm_div_value"),
    *harmless(
        "The language of a text is given by a call, and here by none.",
        "use_lang_emb n_langs id2lang lang2id",
    ),
    *harmless(
        "It fills a table of positions that is then saved with the weights.",
        "sinusoidal_pos_embds sinusoidal_embeddings",
    ),
    *harmless(
        "With any other size than that of the layers the library cannot run the model.",
        "pooler_hidden_size attention_head_size true_hidden_size",
    ),
    *harmless(
        "The architectures that are served turn whole heads.",
        "partial_rotary_factor",
    ),
    *harmless(
        "How far each layer looks back follows from `layer_types` or `sliding_window_pattern`.",
        "_sliding_window_pattern",
    ),
    *harmless(
        "transformers 5 has no code that reads it.",
        "n_ctx padding_idx tie_weights_ pooler_fc_size pooler_num_attention_heads "
        "pooler_num_fc_layers pooler_size_per_head pooler_type down_scale_factor gap_size "
        "net_structure_type num_memory_blocks",
    ),
    *harmless(
        "An answer is made of one of the outputs, whatever else there is.",
        "output_hidden_states output_attentions output_past",
    ),
    *refused(
        "turns the encoder into a decoder, whose tokens see only those before them",
        "set it to false, or save the model as an encoder",
        "is_decoder causal add_cross_attention",
        fine=(False,),
    ),
    *refused("turns an encoder off", "set it to true", "is_encoder", fine=(True,)),
    *refused(
        "is of proteins folded in space, not of texts",
        "use another model",
        "is_folding_model",
        fine=(False,),
    ),
    *refused(
        "is a kind of positions that transformers 5 has no code for, so that it would be taken for absolute ones",
        "save the model with absolute positions",
        "position_embedding_type",
        fine=("absolute", "rotary"),
    ),
    *refused(
        "takes heads out of layers, which transformers 5 no longer does",
        "save the model without those heads",
        "pruned_heads",
        fine=({},),
    ),
    *refused(
        "is put before each prompt",
        "take it out, and send it with each prompt",
        "prefix",
        fine=("",),
    ),
    *refused(
        "has attention read texts of one length alone, where it is exact with as many landmarks as segments",
        "set it to 64 if both are equal, or use another model",
        "num_landmarks segment_means_seq_len",
        fine=(64,),
    ),
    *refused(
        "has transformers fail on the model",
        "set it to false",
        "inv_coeff_init_option pre_norm",
        fine=(False,),
    ),
    *refused("makes outputs without names", "take it out", "return_dict", fine=(True,)),
    *refused("unties weights that were saved once", "take it out", "torchscript", fine=(False,)),
    *refused(
        "stores weights in fewer bits",
        "save the model in full precision",
        "quant_mode",
        fine=(False,),
    ),
    *refused(
        "stores weights in fewer bits",
        "save the model in full precision",
        "quantization_config",
    ),
    *refused(
        "is limited in a way that the exported graph does not have",
        "use another model",
        "attn_logit_softcapping",
    ),
)

"""Backbones of keras-hub for text and sound in sizes of our own: few layers, no weights fetched."""

import keras_hub.models as hub
import numpy as np

from .nets import SAMPLES, Built, integers, net, normal, padded

VOCABULARY, LENGTH, SIDE = 60, 12, 32
ENCODER = {"vocabulary_size": VOCABULARY, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
GROUPED = {"vocabulary_size": VOCABULARY, "num_layers": 2, "num_query_heads": 4, "num_key_value_heads": 2,
           "hidden_dim": 16, "intermediate_dim": 32}  # fmt: skip
VISION = {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 16}
IMAGE = (SIDE, SIDE, 3)


def text(model) -> Built:
    """Return a model of texts with samples for the inputs it has, padding at their ends."""
    tokens, mask = padded(LENGTH, VOCABULARY)
    every = {
        "token_ids": tokens,
        "padding_mask": mask,
        "segment_ids": integers(LENGTH, top=2, seed=1) * mask,
    }
    return model, {one.name: every[one.name] for one in model.inputs}


def pair(model) -> Built:
    """Return a model of two texts, one in and one out."""
    tokens, mask = padded(LENGTH, VOCABULARY)
    others, other_mask = padded(LENGTH, VOCABULARY, seed=1)
    every = {"encoder_token_ids": tokens, "encoder_padding_mask": mask, "decoder_token_ids": others,
             "decoder_padding_mask": other_mask}  # fmt: skip
    return model, {one.name: every[one.name] for one in model.inputs}


# ---- Encoders of text


@net("keras-hub")
def hub_albert():
    return text(
        hub.AlbertBackbone(
            vocabulary_size=VOCABULARY,
            num_layers=2,
            num_heads=2,
            embedding_dim=8,
            hidden_dim=16,
            intermediate_dim=32,
            max_sequence_length=LENGTH,
        )
    )


@net("keras-hub")
def hub_bert():
    return text(hub.BertBackbone(**ENCODER, max_sequence_length=LENGTH))


@net("keras-hub")
def hub_roberta():
    return text(hub.RobertaBackbone(**ENCODER, max_sequence_length=LENGTH))


@net("keras-hub")
def hub_xlm_roberta():
    return text(hub.XLMRobertaBackbone(**ENCODER, max_sequence_length=LENGTH))


@net("keras-hub")
def hub_deberta_v3():
    return text(hub.DebertaV3Backbone(**ENCODER, max_sequence_length=LENGTH, bucket_size=8))


@net("keras-hub")
def hub_distil_bert():
    return text(hub.DistilBertBackbone(**ENCODER, max_sequence_length=LENGTH))


@net("keras-hub")
def hub_electra():
    return text(
        hub.ElectraBackbone(
            vocab_size=VOCABULARY,
            num_layers=2,
            num_heads=2,
            hidden_dim=16,
            embedding_dim=8,
            intermediate_dim=32,
            max_sequence_length=LENGTH,
        )
    )


@net("keras-hub")
def hub_f_net():
    return text(
        hub.FNetBackbone(
            vocabulary_size=VOCABULARY, num_layers=2, hidden_dim=16, intermediate_dim=32, max_sequence_length=LENGTH
        )
    )


@net("keras-hub")
def hub_roformer_v2():
    return text(hub.RoformerV2Backbone(**ENCODER, head_size=8))


@net("keras-hub")
def hub_esm2():
    return text(hub.ESM2Backbone(**ENCODER, max_sequence_length=LENGTH))


@net("keras-hub")
def hub_xlnet():
    return text(hub.XLNetBackbone(**ENCODER))


# ---- Decoders of text


@net("keras-hub")
def hub_gpt2():
    return text(hub.GPT2Backbone(**ENCODER, max_sequence_length=LENGTH))


@net("keras-hub")
def hub_gpt_neo_x():
    return text(hub.GPTNeoXBackbone(**ENCODER, rotary_percentage=0.5, max_sequence_length=LENGTH))


@net("keras-hub")
def hub_opt():
    return text(hub.OPTBackbone(**ENCODER, max_sequence_length=LENGTH))


@net("keras-hub")
def hub_bloom():
    return text(hub.BloomBackbone(**ENCODER))


@net("keras-hub")
def hub_falcon():
    return text(
        hub.FalconBackbone(
            vocabulary_size=VOCABULARY, num_layers=2, num_attention_heads=2, hidden_dim=16, intermediate_dim=32
        )
    )


@net("keras-hub")
def hub_llama():
    return text(hub.LlamaBackbone(**GROUPED))


@net("keras-hub")
def hub_llama3():
    return text(
        hub.Llama3Backbone(
            **GROUPED,
            rope_frequency_adjustment_factor=8.0,
            rope_low_freq_factor=1.0,
            rope_high_freq_factor=4.0,
            rope_pretraining_sequence_length=64,
        )
    )


@net("keras-hub")
def hub_mistral():
    return text(hub.MistralBackbone(**GROUPED, sliding_window=4))


@net("keras-hub")
def hub_mixtral():
    return text(hub.MixtralBackbone(**GROUPED, num_experts=3, sliding_window=4))


@net("keras-hub")
def hub_gemma():
    return text(hub.GemmaBackbone(**GROUPED, head_dim=4))


@net("keras-hub")
def hub_gemma2():
    return text(
        hub.GemmaBackbone(
            **GROUPED,
            head_dim=4,
            use_post_ffw_norm=True,
            use_post_attention_norm=True,
            attention_logit_soft_cap=50.0,
            final_logit_soft_cap=30.0,
            use_sliding_window_attention=True,
            sliding_window_size=4,
        )
    )


@net("keras-hub")
def hub_gemma3():
    return text(
        hub.Gemma3Backbone(
            **GROUPED,
            head_dim=4,
            image_size=SIDE,
            use_post_ffw_norm=True,
            use_post_attention_norm=True,
            use_sliding_window_attention=True,
            sliding_window_size=4,
        )
    )


@net("keras-hub")
def hub_phi3():
    return text(hub.Phi3Backbone(**GROUPED, max_sequence_length=64, pretraining_sequence_length=64))


@net("keras-hub")
def hub_qwen2():
    return text(hub.Qwen2Backbone(**GROUPED))


@net("keras-hub")
def hub_qwen3():
    return text(hub.Qwen3Backbone(**GROUPED, head_dim=4))


@net("keras-hub")
def hub_qwen_moe():
    return text(
        hub.QwenMoeBackbone(
            **GROUPED, moe_intermediate_dim=16, shared_expert_intermediate_dim=16, num_experts=3, top_k=2
        )
    )


@net("keras-hub")
def hub_qwen3_moe():
    return text(hub.Qwen3MoeBackbone(**GROUPED, head_dim=4, moe_intermediate_dim=16, num_experts=3, top_k=2))


@net("keras-hub")
def hub_gpt_oss():
    return text(hub.GptOssBackbone(**GROUPED, num_experts=3, top_k=2, sliding_window=4, head_dim=4))


@net("keras-hub")
def hub_smol_lm3():
    return text(
        hub.SmolLM3Backbone(
            vocabulary_size=VOCABULARY,
            hidden_dim=16,
            intermediate_dim=32,
            num_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            attention_bias=False,
            attention_dropout=0.0,
            rope_layer_enabled_list=[True, False],
            layer_types=["full_attention", "full_attention"],
            mlp_bias=False,
            layer_norm_epsilon=1e-6,
            max_position_embeddings=64,
            rope_theta=10000.0,
            partial_rotary_factor=1.0,
        )
    )


@net("keras-hub")
def hub_rwkv7():
    return text(
        hub.RWKV7Backbone(
            hidden_size=16,
            head_size=8,
            num_layers=2,
            vocabulary_size=VOCABULARY,
            intermediate_dim=32,
            gate_lora=8,
            mv_lora=8,
            aaa_lora=8,
            decay_lora=8,
        )
    )


# ---- Encoders with decoders


@net("keras-hub")
def hub_bart():
    return pair(hub.BartBackbone(**ENCODER, max_sequence_length=LENGTH))


@net("keras-hub")
def hub_t5():
    return pair(hub.T5Backbone(**ENCODER))


@net("keras-hub")
def hub_t5_gemma():
    side = {
        "hidden_dim": 16,
        "intermediate_dim": 32,
        "num_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 4,
        "layer_types": ["full_attention"],
    }
    sides = {f"{end}_{key}": value for end in ("encoder", "decoder") for key, value in side.items()}
    return pair(hub.T5GemmaBackbone(vocabulary_size=VOCABULARY, **sides))


@net("keras-hub")
def hub_whisper():
    model = hub.WhisperBackbone(
        **ENCODER, num_mels=8, max_encoder_sequence_length=2 * LENGTH, max_decoder_sequence_length=LENGTH
    )
    tokens, mask = padded(LENGTH, VOCABULARY)
    return model, {
        "encoder_features": normal(2 * LENGTH, 8),
        "decoder_token_ids": tokens,
        "decoder_padding_mask": mask,
    }


@net("keras-hub")
def hub_moonshine():
    model = hub.MoonshineBackbone(
        vocabulary_size=VOCABULARY,
        filter_dim=16,
        encoder_num_layers=1,
        decoder_num_layers=1,
        hidden_dim=16,
        intermediate_dim=32,
        encoder_num_heads=2,
        decoder_num_heads=2,
        max_position_embeddings=64,
    )
    tokens, mask = padded(LENGTH, VOCABULARY)
    return model, {
        "encoder_input_values": normal(2000, 1),
        "encoder_padding_mask": np.ones((SAMPLES, 2000), bool),
        "decoder_token_ids": tokens,
        "decoder_padding_mask": mask.astype(bool),
    }


# ---- Images: transformers

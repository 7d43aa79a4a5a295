"""Backbones of keras-hub for images in sizes of our own: few layers, little images, no weights fetched."""

import keras_hub.models as hub
import numpy as np

from .nets import images, integers, net, normal, padded, uniform

VOCABULARY, LENGTH, SIDE = 60, 12, 32
ENCODER = {"vocabulary_size": VOCABULARY, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
GROUPED = {"vocabulary_size": VOCABULARY, "num_layers": 2, "num_query_heads": 4, "num_key_value_heads": 2,
           "hidden_dim": 16, "intermediate_dim": 32}  # fmt: skip
VISION = {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 16}
IMAGE = (SIDE, SIDE, 3)


@net("keras-hub")
def hub_vit():
    return hub.ViTBackbone(
        image_shape=IMAGE, patch_size=(8, 8), num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
    ), images(*IMAGE)


@net("keras-hub")
def hub_deit():
    return hub.DeiTBackbone(
        image_shape=IMAGE, patch_size=(8, 8), num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32
    ), images(*IMAGE)


@net("keras-hub")
def hub_dinov2():
    model = hub.DINOV2Backbone(
        **VISION, intermediate_dim=32, num_register_tokens=2, use_mask_token=False, image_shape=IMAGE,
        position_embedding_shape=(64, 64), use_swiglu_ffn=True,
    )  # fmt: skip
    return model, {one.name: images(*IMAGE) for one in model.inputs}


@net("keras-hub")
def hub_dinov3():
    model = hub.DINOV3Backbone(
        **VISION, intermediate_dim=32, num_register_tokens=2, use_mask_token=False, image_shape=IMAGE
    )
    return model, {one.name: images(*IMAGE) for one in model.inputs}


@net("keras-hub")
def hub_siglip():
    from keras_hub.src.models.siglip.siglip_text_encoder import SigLIPTextEncoder
    from keras_hub.src.models.siglip.siglip_vision_encoder import SigLIPVisionEncoder

    vision = SigLIPVisionEncoder(**VISION, intermediate_dim=32, image_shape=IMAGE)
    words = SigLIPTextEncoder(
        vocabulary_size=VOCABULARY,
        embedding_dim=16,
        hidden_dim=16,
        num_layers=2,
        num_heads=2,
        intermediate_dim=32,
        max_sequence_length=LENGTH,
    )
    tokens, _ = padded(LENGTH, VOCABULARY)
    return hub.SigLIPBackbone(vision, words), {"images": images(*IMAGE), "token_ids": tokens}


@net("keras-hub")
def hub_clip():
    from keras_hub.src.models.clip.clip_text_encoder import CLIPTextEncoder
    from keras_hub.src.models.clip.clip_vision_encoder import CLIPVisionEncoder

    vision = CLIPVisionEncoder(**VISION, intermediate_dim=32, image_shape=IMAGE)
    words = CLIPTextEncoder(
        vocabulary_size=VOCABULARY,
        embedding_dim=16,
        hidden_dim=16,
        num_layers=2,
        num_heads=2,
        intermediate_dim=32,
        max_sequence_length=LENGTH,
    )
    tokens, _ = padded(LENGTH, VOCABULARY)
    return hub.CLIPBackbone(vision, words, projection_dim=16), {"images": images(*IMAGE), "token_ids": tokens}


@net("keras-hub")
def hub_vit_det():
    model = hub.ViTDetBackbone(
        hidden_size=16,
        num_layers=2,
        intermediate_dim=32,
        num_heads=2,
        global_attention_layer_indices=[1],
        image_shape=IMAGE,
        patch_size=8,
        num_output_channels=8,
        window_size=2,
    )
    return model, images(*IMAGE)


@net("keras-hub")
def hub_sam():
    from keras_hub.src.models.sam.sam_mask_decoder import SAMMaskDecoder
    from keras_hub.src.models.sam.sam_prompt_encoder import SAMPromptEncoder

    encoder = hub.ViTDetBackbone(
        hidden_size=16,
        num_layers=2,
        intermediate_dim=32,
        num_heads=2,
        global_attention_layer_indices=[1],
        image_shape=(64, 64, 3),
        patch_size=16,
        num_output_channels=16,
        window_size=2,
    )
    prompts = SAMPromptEncoder(
        hidden_size=16, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_channels=8
    )
    masks = SAMMaskDecoder(
        num_layers=1, hidden_size=16, intermediate_dim=16, num_heads=2, embedding_dim=16, iou_head_depth=2,
        iou_head_hidden_dim=8,
    )  # fmt: skip
    return hub.SAMBackbone(image_encoder=encoder, prompt_encoder=prompts, mask_decoder=masks), {
        "images": images(64, 64, 3),
        "points": uniform(2, 2, high=63.0),
        "labels": integers(2, top=2).astype(np.float32),
        "boxes": uniform(2, 2, 2, high=63.0, seed=1),
        "masks": normal(1, 16, 16, 1),
    }


def _mit():
    return hub.MiTBackbone(
        layerwise_depths=[1, 1],
        num_layers=2,
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        hidden_dims=[8, 16],
        image_shape=IMAGE,
    )


@net("keras-hub")
def hub_mit():
    return _mit(), images(*IMAGE)


@net("keras-hub")
def hub_segformer():
    return hub.SegFormerBackbone(image_encoder=_mit(), projection_filters=16), images(*IMAGE)


@net("keras-hub")
def hub_swin():
    return hub.SwinTransformerBackbone(
        image_shape=IMAGE, embed_dim=8, depths=(2, 2), num_heads=(2, 2), window_size=4
    ), images(*IMAGE)


@net("keras-hub")
def hub_depth_anything():
    encoder = hub.DINOV2Backbone(
        **VISION, intermediate_dim=32, use_mask_token=False, image_shape=IMAGE, position_embedding_shape=(32, 32),
        apply_layernorm=True,
    )  # fmt: skip
    model = hub.DepthAnythingBackbone(
        image_encoder=encoder,
        reassemble_factors=[2, 1],
        neck_hidden_dims=[8, 8],
        fusion_hidden_dim=8,
        head_hidden_dim=8,
        head_in_index=-1,
        feature_keys=["stage1", "stage2"],
    )
    return model, {one.name: images(*IMAGE) for one in model.inputs}


@net("keras-hub")
def hub_parseq():
    encoder = hub.ViTBackbone(
        image_shape=(32, 64, 3), patch_size=(8, 8), num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32,
        use_class_token=False,
    )  # fmt: skip
    model = hub.PARSeqBackbone(
        image_encoder=encoder,
        vocabulary_size=VOCABULARY,
        max_label_length=8,
        decoder_hidden_dim=16,
        num_decoder_layers=1,
        num_decoder_heads=2,
        decoder_mlp_dim=32,
    )
    tokens, mask = padded(8, VOCABULARY)
    return model, {"images": images(32, 64, 3), "token_ids": tokens, "padding_mask": mask}


@net("keras-hub")
def hub_video_prism():
    model = hub.VideoPrismBackbone(
        num_frames=4,
        patch_size=8,
        hidden_dim=16,
        intermediate_dim=32,
        num_heads=2,
        num_spatial_layers=1,
        num_temporal_layers=1,
        num_auxiliary_layers=0,
        image_shape=(16, 16, 3),
    )
    frames = np.stack([images(16, 16, 3, seed=seed) for seed in range(4)], 1)
    return model, {one.name: frames for one in model.inputs}


# ---- Images: convolutions


def _resnet(**more):
    return hub.ResNetBackbone(
        **{
            "input_conv_filters": [8],
            "input_conv_kernel_sizes": [7],
            "stackwise_num_filters": [64, 8, 16],  # keras-hub wants 64 first
            "stackwise_num_blocks": [1, 1, 1],
            "stackwise_num_strides": [1, 2, 2],
            "block_type": "bottleneck_block",
            "image_shape": (64, 64, 3),
            **more,
        }
    )


@net("keras-hub")
def hub_resnet():
    return _resnet(), images(64, 64, 3)


@net("keras-hub")
def hub_resnet_v2_basic():
    return _resnet(block_type="basic_block", use_pre_activation=True, input_conv_filters=[64]), images(64, 64, 3)


@net("keras-hub")
def hub_resnet_vd():
    model = _resnet(input_conv_filters=[8, 8, 8], input_conv_kernel_sizes=[3, 3, 3], block_type="bottleneck_block_vd")
    return model, images(64, 64, 3)


@net("keras-hub")
def hub_densenet():
    return hub.DenseNetBackbone(stackwise_num_repeats=[2, 2], growth_rate=8, image_shape=IMAGE), images(*IMAGE)


@net("keras-hub")
def hub_mobilenet_v3():
    model = hub.MobileNetBackbone(
        stackwise_expansion=[[8], [16, 16]],
        stackwise_num_blocks=[1, 2],
        stackwise_num_filters=[[8], [8, 8]],
        stackwise_kernel_size=[[3], [3, 5]],
        stackwise_num_strides=[[2], [2, 1]],
        stackwise_se_ratio=[[0.25], [None, 0.25]],
        stackwise_activation=[["relu"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1], [1, 2]],
        output_num_filters=16,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        last_layer_filter=16,
        image_shape=(64, 64, 3),
    )
    return model, images(64, 64, 3)


@net("keras-hub")
def hub_mobilenet_v5():
    blocks = [["er"], ["uir", "uir"], ["uir", "mqa"]]

    def each(values):
        return [[value] * len(stage) for value, stage in zip(values, blocks, strict=True)]

    model = hub.MobileNetV5Backbone(
        stackwise_block_types=blocks,
        stackwise_num_blocks=[1, 2, 2],
        stackwise_num_filters=each([8, 16, 16]),
        stackwise_strides=[[2], [2, 1], [2, 1]],
        stackwise_act_layers=each(["gelu"] * 3),
        stackwise_exp_ratios=each([2.0] * 3),
        stackwise_se_ratios=each([0.0] * 3),
        stackwise_dw_kernel_sizes=each([0, 5, 3]),
        stackwise_dw_start_kernel_sizes=each([0, 3, 3]),
        stackwise_dw_end_kernel_sizes=each([0] * 3),
        stackwise_exp_kernel_sizes=each([3, 0, 0]),
        stackwise_pw_kernel_sizes=each([1, 0, 0]),
        stackwise_num_heads=each([0, 0, 2]),
        stackwise_key_dims=each([0, 0, 8]),
        stackwise_value_dims=each([0, 0, 8]),
        stackwise_kv_strides=each([0, 0, 1]),
        stackwise_use_cpe=each([False] * 3),
        stem_size=8,
        num_features=16,
        use_msfa=False,
        layer_scale_init_value=0.1,
        image_shape=IMAGE,
    )
    return model, images(*IMAGE)


@net("keras-hub")
def hub_efficientnet():
    model = hub.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * 3,
        stackwise_depth_coefficients=[1.0] * 3,
        stackwise_kernel_sizes=[3, 3, 5],
        stackwise_num_repeats=[1, 2, 2],
        stackwise_input_filters=[8, 8, 16],
        stackwise_output_filters=[8, 16, 16],
        stackwise_expansion_ratios=[1, 4, 4],
        stackwise_squeeze_and_excite_ratios=[0, 0.25, 0.25],
        stackwise_strides=[1, 2, 2],
        stackwise_block_types=["fused", "v1", "unfused"],
        num_features=32,
        input_shape=IMAGE,
    )
    return model, images(*IMAGE)


@net("keras-hub")
def hub_vgg():
    return hub.VGGBackbone(stackwise_num_repeats=[1, 2], stackwise_num_filters=[8, 16], image_shape=IMAGE), images(
        *IMAGE
    )


@net("keras-hub")
def hub_xception():
    return hub.XceptionBackbone(
        stackwise_conv_filters=[[8, 8], [16, 16], [16, 16]], stackwise_pooling=[True, True, False], image_shape=IMAGE
    ), images(*IMAGE)


def _csp(**more):
    return hub.CSPNetBackbone(
        stem_filters=8,
        stem_kernel_size=3,
        stem_strides=2,
        stackwise_depth=[1, 1],
        stackwise_strides=[2, 2],
        stackwise_num_filters=[16, 16],
        image_shape=IMAGE,
        **{"bottle_ratio": [1.0], "block_ratio": [0.5], "expand_ratio": [1.0], **more},
    )


@net("keras-hub")
def hub_csp_darknet():
    return _csp(stage_type="csp", block_type="dark_block", stem_padding="same"), images(*IMAGE)


@net("keras-hub")
def hub_cs3_darknet():
    return _csp(stage_type="cs3", block_type="dark_block", activation="silu"), images(*IMAGE)


@net("keras-hub")
def hub_darknet():
    return _csp(stage_type="dark", block_type="dark_block", bottle_ratio=[0.5], block_ratio=[1.0]), images(*IMAGE)


@net("keras-hub")
def hub_hgnet_v2():
    model = hub.HGNetV2Backbone(
        depths=[1, 1],
        embedding_size=8,
        hidden_sizes=[16, 16],
        stem_channels=[3, 8, 8],
        hidden_act="relu",
        use_learnable_affine_block=True,
        stackwise_stage_filters=[[8, 8, 16, 1, 2, 3], [16, 8, 16, 1, 2, 3]],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, True],
        image_shape=IMAGE,
    )
    return model, images(*IMAGE)


@net("keras-hub")
def hub_retinanet():
    encoder = _resnet(stackwise_num_filters=[64, 8, 16, 16], stackwise_num_blocks=[1] * 4,
                      stackwise_num_strides=[1, 2, 2, 2])  # fmt: skip
    model = hub.RetinaNetBackbone(
        image_encoder=encoder, min_level=3, max_level=5, use_p5=False, image_shape=(64, 64, 3)
    )
    return model, images(64, 64, 3)


@net("keras-hub")
def hub_deeplab_v3():
    model = hub.DeepLabV3Backbone(
        image_encoder=_resnet(image_shape=(None, None, 3)),
        spatial_pyramid_pooling_key="P4",
        low_level_feature_key="P2",
        upsampling_size=(4, 4),
        dilation_rates=[2, 3],
        projection_filters=8,
        image_shape=(64, 64, 3),
    )
    return model, images(64, 64, 3)


@net("keras-hub")
def hub_vae():
    from keras_hub.src.models.vae.vae_backbone import VAEBackbone

    model = VAEBackbone(
        encoder_num_filters=[32, 32],
        encoder_num_blocks=[1, 1],
        decoder_num_filters=[32, 32],
        decoder_num_blocks=[1, 1],
        latent_channels=4,
        image_shape=IMAGE,
    )
    return model, images(*IMAGE)

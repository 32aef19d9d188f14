"""Tiny models that take images, with their processors, built on the spot: real code, no download."""

from byte_tokenizer import byte_tokenizer

TEMPLATE = (
    "{% for m in messages %}<turn>{% for part in m.content %}"
    "{% if part.type == 'image' %}@MARK@{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}<turn>"
)
"""As templates of such models are: contents are lists of parts."""
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 1024,
    "initializer_range": 0.15,
    "pad_token_id": 0,
    "eos_token_id": 0,
    "bos_token_id": None,
}


def build_idefics3(folder, *, tied=True):
    """An Idefics3 that reads an image as 4 tokens, with three more around them."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    marks = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")
    fast, size = byte_tokenizer(("<end>", "<turn>", *marks))
    config = Idefics3Config(
        text_config=TEXT | {"model_type": "llama", "vocab_size": size, "tie_word_embeddings": tied},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 16,
            "patch_size": 4,
            "initializer_range": 0.3,
        },
        image_token_id=fast.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=tied,
    )
    images = Idefics3ImageProcessor(
        size={"longest_edge": 16}, max_image_size={"longest_edge": 16}, do_image_splitting=False
    )
    template = TEMPLATE.replace("@MARK@", "<image>")
    processor = Idefics3Processor(images, fast, image_seq_len=4, chat_template=template)
    return _saved(Idefics3ForConditionalGeneration, config, processor, folder)


def build_qwen3_vl(folder, *, tied=True):
    """A Qwen3-VL that reads a map of 32 x 32 pixels as 4 tokens; positions have three parts."""
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    marks = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    fast, size = byte_tokenizer(("<end>", "<turn>", *marks))
    start, end, image, video = map(fast.convert_tokens_to_ids, marks)
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [6, 5, 5],
        "mrope_interleaved": True,
    }
    config = Qwen3VLConfig(
        text_config=TEXT | {"vocab_size": size, "rope_parameters": rope, "tie_word_embeddings": tied},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "out_hidden_size": 64,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
            "initializer_range": 0.3,
        },
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=tied,
    )
    shared = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2}
    images = Qwen2VLImageProcessor(size={"shortest_edge": 256, "longest_edge": 4096}, **shared)
    videos = Qwen3VLVideoProcessor(size={"shortest_edge": 256, "longest_edge": 4096}, **shared)
    template = TEMPLATE.replace("@MARK@", "<|vision_start|><|image_pad|><|vision_end|>")
    processor = Qwen3VLProcessor(images, fast, videos, chat_template=template)
    return _saved(Qwen3VLForConditionalGeneration, config, processor, folder)


def build_llava(folder):
    """A LLaVA, whose files name its weights otherwise than transformers does."""
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    fast, size = byte_tokenizer(("<end>", "<turn>", "<image>"))
    config = LlavaConfig(
        text_config=TEXT | {"model_type": "llama", "vocab_size": size},
        vision_config=CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=16,
            patch_size=8,
        ),
        image_token_index=fast.convert_tokens_to_ids("<image>"),
    )
    images = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    template = TEMPLATE.replace("@MARK@", "<image>")
    processor = LlavaProcessor(
        images, fast, patch_size=8, vision_feature_select_strategy="default", chat_template=template
    )
    return _saved(LlavaForConditionalGeneration, config, processor, folder)


def _saved(kind, config, processor, folder):
    import torch

    torch.manual_seed(0)
    model = kind(config)
    with torch.no_grad():
        # What is sampled holds end tokens and, as text, placeholders.
        for word in ("<end>", processor.image_token):
            model.lm_head.weight[processor.tokenizer.convert_tokens_to_ids(word)] *= 4
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder

"""Tiny models that take images, with their processors, built on the spot: real code, no download."""

from byte_tokenizer import byte_tokenizer

TEMPLATE = (
    "{% for m in messages %}<turn>{% for part in m.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}<turn>"
)
"""As templates of such models are: contents are lists of parts."""
MARKS = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")


def build_idefics3(folder, *, tied=True):
    """An Idefics3 that reads an image of 16 x 16 pixels as 4 tokens, with three more around them."""
    import torch
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    fast, size = byte_tokenizer(("<end>", "<turn>", *MARKS))
    torch.manual_seed(0)
    config = Idefics3Config(
        text_config={
            "model_type": "llama",
            "vocab_size": size,
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
            "tie_word_embeddings": tied,
        },
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
    model = Idefics3ForConditionalGeneration(config)
    with torch.no_grad():
        # What is sampled holds end tokens and, as of text, placeholders.
        for word in ("<end>", "<image>"):
            model.lm_head.weight[fast.convert_tokens_to_ids(word)] *= 2
    images = Idefics3ImageProcessor(
        size={"longest_edge": 16}, max_image_size={"longest_edge": 16}, do_image_splitting=False
    )
    processor = Idefics3Processor(images, fast, image_seq_len=4, chat_template=TEMPLATE)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder

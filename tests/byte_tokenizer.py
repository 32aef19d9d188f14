"""A byte-level tokenizer made on the spot, for models that tests build."""


def byte_tokenizer(special=("<end>", "<turn>"), merges=()):
    """The tokenizer and its number of tokens.

    `special`: tokens of their own, the end token first; they have the lowest ids. `merges`: pairs of texts
    that become one token, in the order in which they are tried.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    tokenizer = Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, merges=list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=special[0],
        pad_token=special[0],
        additional_special_tokens=list(special[1:]),
        chat_template="{% for m in messages %}<turn>{{ m.content }}{% endfor %}<turn>",
    )
    return fast, len(words)

"""End tokens and stop strings as the tokenizer of a model knows them."""

import json
import shutil

import pytest

from pettingllms.models.tokenizer import ChatTokenizer, StopStrings

pytest.importorskip("transformers")


def watched(tokenizer, tokens, *stop, prompt=()):
    """Index of the token that completes a stop string, or None."""
    stops = tokenizer.stops(prompt, stop)
    return next((place for place, token in enumerate(tokens) if stops.completed_by(token)), None)


@pytest.fixture
def tokenizer(tied_model):
    return ChatTokenizer(tied_model, trust_remote_code=False)


def test_a_stop_string_may_lie_anywhere_in_the_tokens(tokenizer):
    # "abb" is one token, "x", "y" and " " are one each.
    tokens = tokenizer.encode("x abb y")
    assert len(tokens) == 5
    assert watched(tokenizer, tokens, "b") == 2
    assert watched(tokenizer, tokens, "b y") == 4
    assert watched(tokenizer, tokens, "x abb y") == 4
    assert watched(tokenizer, tokens, "never", " ") == 1
    assert watched(tokenizer, tokens, "yy") is None
    assert watched(tokenizer, tokens) is None


def test_the_prompt_does_not_count(tokenizer):
    assert watched(tokenizer, tokenizer.encode("yx"), "xy", prompt=tokenizer.encode("ax")) is None


def test_a_character_counts_when_its_last_byte_is_there(tokenizer):
    tokens = tokenizer.encode("é日")
    assert len(tokens) == 5
    assert watched(tokenizer, tokens, "日") == 4
    assert watched(tokenizer, tokens, "é") == 1


def test_special_tokens_are_no_text(tokenizer):
    assert watched(tokenizer, [*tokenizer.encode("a"), 1, *tokenizer.encode("c")], "ac") == 2
    assert watched(tokenizer, [1], "<turn>") is None


def test_bytes_that_are_no_text_do_not_break_the_watch():
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)} | {"é": 256, "x": 257}
    backend = Tokenizer(models.BPE(vocabulary, merges=[], byte_fallback=True))
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    fast = PreTrainedTokenizerFast(tokenizer_object=backend)
    stops = StopStrings(fast, (), ("éx",))
    # A lone "8" is text until the broken bytes after it make all of them unreadable.
    assert not any(stops.completed_by(token) for token in (0x38, 0xF0, 0x90, 0x80))
    assert not stops.completed_by(256)
    assert stops.completed_by(257)


@pytest.mark.parametrize(
    ("generation", "config", "expected"),
    [
        ({"eos_token_id": [5, 6]}, {"eos_token_id": 9}, {0, 5, 6}),
        ({"eos_token_id": 5}, {"eos_token_id": 9}, {0, 5}),
        ({}, {"eos_token_id": 9}, {0}),
        (None, {"eos_token_id": 9}, {0, 9}),
        (None, {"eos_token_id": None}, {0}),
    ],
)
def test_end_tokens_come_from_tokenizer_and_model(tied_model, tmp_path, generation, config, expected):
    folder = tmp_path / "model"
    shutil.copytree(tied_model, folder)
    (folder / "generation_config.json").unlink()
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    whole = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(whole))
    tokenizer = ChatTokenizer(folder, trust_remote_code=False)
    assert tokenizer.end_ids == expected
    assert tokenizer.end_id == 0

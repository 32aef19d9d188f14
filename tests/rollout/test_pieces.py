"""Chats encoded piece by piece have the token ids that the library gives them, whatever the tokenizer."""

import pytest
from byte_tokenizer import byte_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.models.pieces import PieceEncoder, exact_cuts
from pettingllms.models.tokenizer import ChatTokenizer
from pettingllms.types import Message

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% else %}<turn>{{ m.role }}\n"
    "{{ m.content }}<end>\n{% endif %}{% endfor %}<turn>assistant\n"
)
FRAGMENTS = [
    "<turn>",
    "<end>",
    "<tur",
    "n>",
    "<",
    "<x>",
    "a<x>b",
    "  ",
    "\n",
    "the",
    " the cat",
    "Ä",
    "é",
    "🙂",
    "",
]


def letters(**more):
    return {chr(code): place for place, code in enumerate(range(32, 127))} | more


def byte_level(prefix):
    from tokenizers import Tokenizer, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: place for place, word in enumerate([*alphabet, "th", "the"])}
    tokenizer = Tokenizer(models.BPE(words, merges=[("t", "h"), ("th", "e")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    return tokenizer


def meta_space(scheme):
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = letters(unknown=200, **{"▁": 201, "▁t": 202, "th": 203})
    model = models.BPE(vocabulary, merges=[("▁", "t"), ("t", "h")], unk_token="unknown", fuse_unk=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    return tokenizer


def prepending():
    from tokenizers import Tokenizer, models, normalizers

    vocabulary = letters(unknown=200, **{"▁": 201, "▁t": 202})
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[("▁", "t")], unk_token="unknown"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return tokenizer


def word_pieces():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(
        models.WordPiece({"[UNK]": 0, "the": 1, "cat": 2, "<": 3, "x": 4, ">": 5, "##t": 6})
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


BACKENDS = {
    "byte-level": lambda: byte_level(False),
    "byte-level, prefix": lambda: byte_level(True),
    **{
        f"metaspace, {scheme}": lambda scheme=scheme: meta_space(scheme)
        for scheme in ("first", "always", "never")
    },
    "prepended": prepending,
    "word pieces": word_pieces,
}


def chat_tokenizer(folder, backend, *added, **special):
    """A tokenizer of the library around `backend`; `added`: tokens beside <turn> and <end>."""
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    flags = {"special": True, "normalized": False} | special
    backend.add_tokens([AddedToken("<turn>", **flags), AddedToken("<end>", **flags), *added])
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", chat_template=TEMPLATE)
    fast.save_pretrained(folder)
    return ChatTokenizer(folder, trust_remote_code=False)


def by_the_library(tokenizer, messages):
    chat = [message._asdict() for message in messages]
    return tokenizer._tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, tokenize=True, return_dict=False
    )


TEXTS = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=4)), max_size=6).map("".join)
CHATS = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXTS), min_size=1, max_size=5)


@pytest.mark.parametrize("name", BACKENDS)
def test_ids_of_a_chat_are_those_of_the_library(tmp_path_factory, name):
    tokenizer = chat_tokenizer(tmp_path_factory.mktemp("tokenizer"), BACKENDS[name]())
    assert exact_cuts(tokenizer._tokenizer) == ["<turn>", "<end>"]

    @settings(max_examples=60, deadline=None)
    @given(CHATS)
    def check(chat):
        messages = [Message(role, text) for role, text in chat]
        assert tokenizer.chat(messages) == by_the_library(tokenizer, messages)

    check()


FLAGS = ("lstrip", "rstrip", "normalized", "single_word", "special")


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(sorted(BACKENDS)),
    st.lists(
        st.tuples(
            st.sampled_from(["<x>", " <x>", "<turn>x", "x<turn>", ">x", "n<", "the", "d>\n", "\n\n"]),
            st.fixed_dictionaries(dict.fromkeys(FLAGS, st.booleans())),
        ),
        max_size=3,
        unique_by=lambda one: one[0],
    ),
    st.fixed_dictionaries(dict.fromkeys(FLAGS[:3], st.booleans())),
    st.lists(CHATS, min_size=1, max_size=12),
)
def test_ids_are_those_of_the_library_whatever_else_is_a_token(tmp_path_factory, name, added, special, chats):
    from tokenizers import AddedToken

    others = [AddedToken(text, **flags) for text, flags in added]
    tokenizer = chat_tokenizer(tmp_path_factory.mktemp("tokenizer"), BACKENDS[name](), *others, **special)
    for chat in chats:
        messages = [Message(role, text) for role, text in chat]
        assert tokenizer.chat(messages) == by_the_library(tokenizer, messages)


@pytest.mark.parametrize(
    ("others", "special", "expected"),
    [
        ([], {}, ["<turn>", "<end>"]),
        ([("<x>", {"lstrip": True})], {}, ["<turn>", "<end>"]),
        ([], {"lstrip": True}, []),
        ([], {"normalized": True}, []),
        ([("<x>", {"single_word": True})], {}, []),
        ([("x<turn>", {})], {}, ["<end>"]),
        ([("x<", {})], {}, []),
        ([("<turn>x", {})], {}, ["<turn>", "<end>"]),
    ],
)
def test_no_cut_is_made_where_a_token_reaches_over_it(tmp_path, others, special, expected):
    from tokenizers import AddedToken

    added = [AddedToken(text, **{"normalized": False, **flags}) for text, flags in others]
    tokenizer = chat_tokenizer(tmp_path, byte_level(False), *added, **special)
    assert exact_cuts(tokenizer._tokenizer) == expected


def test_special_tokens_that_are_read_as_text_are_no_cuts(tmp_path):
    tokenizer = chat_tokenizer(tmp_path, byte_level(False))._tokenizer
    tokenizer.split_special_tokens = True
    assert exact_cuts(tokenizer) == []


def test_tokenizer_that_encodes_in_a_way_of_its_own_is_left_to_it():
    fast, _ = byte_tokenizer()

    class Own(type(fast)):
        def _encode_plus(self, text, **options):
            return super()._encode_plus(text.upper(), **options)

    assert exact_cuts(fast) == ["<end>", "<turn>"]
    own = Own(tokenizer_object=fast.backend_tokenizer, chat_template=fast.chat_template)
    assert exact_cuts(own) == []


class Counting:
    def __init__(self):
        self.asked = []

    def __call__(self, text):
        self.asked.append(text)
        return list(map(ord, text))


def test_what_was_encoded_once_is_not_encoded_again():
    encode = Counting()
    pieces = PieceEncoder(encode, ["|"])
    for text in ("a", "a|b", "a|b|c", "a|b|c|d"):
        assert pieces.ids(text) == list(map(ord, text))
    assert encode.asked == ["a", "|b", "|c", "|d"]
    assert pieces.ids("") == []


def test_pieces_that_were_not_asked_for_longest_are_forgotten():
    encode = Counting()
    pieces = PieceEncoder(encode, ["|"], kept=4)
    pieces.ids("|a|b")
    pieces.ids("|a")
    pieces.ids("|c")  # no room for |b, which was asked for before |a
    assert pieces.ids("|a|b") == list(map(ord, "|a|b"))
    assert encode.asked == ["|a", "|b", "|c", "|b"]
    # A piece longer than all the room is encoded, and not kept.
    assert pieces.ids("|long piece") == list(map(ord, "|long piece"))
    assert pieces.ids("|a") == [ord("|"), ord("a")]
    assert encode.asked[4:] == ["|long piece", "|a"]


@pytest.mark.slow
def test_ids_of_real_chats_are_those_of_the_library():
    from pettingllms.models.embedded import NAME
    from pettingllms.models.folders import local_folder

    tokenizer = ChatTokenizer(local_folder(NAME, lambda text: None), trust_remote_code=False)
    assert "<|im_start|>" in exact_cuts(tokenizer._tokenizer)
    messages = [Message("system", "You count.")]
    for turn in range(12):
        text = (
            f"Turn {turn}:  what is {turn} + {turn}?\n\n```\nprint(1)\n```  <|im_end|> <|im_ end|> Grüße 🙂"
        )
        messages.append(Message("assistant" if turn % 2 else "user", text))
        assert tokenizer.chat(messages) == by_the_library(tokenizer, messages)

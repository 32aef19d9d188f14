"""Pickles of strangers: a text comes out, or nothing happens at all."""

import base64
import builtins
import os
import pickle
import pickletools
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.data.rows import BadRowError
from pettingllms.data.unpickling import packed_text, pickled_text


def pack(pickled):
    return base64.b64encode(zlib.compress(pickled)).decode()


@pytest.mark.parametrize("protocol", range(1, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("text", ["", "[]", '[{"input": "1 2\\n", "output": "3"}]', "é" * 70_000])
def test_a_text_comes_out_as_it_went_in(protocol, text):
    assert packed_text(pack(pickle.dumps(text, protocol))) == text


class Reduced:
    """Unpickled as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class Ordinary:
    pass


HOSTILE = {
    "a shell command": pickle.dumps(Reduced(os.system, "touch hacked")),
    "protocol 0": pickle.dumps(Reduced(os.system, "touch hacked"), 0),
    "eval": pickle.dumps(Reduced(builtins.eval, "open('hacked', 'w')")),
    "exec": pickle.dumps(Reduced(builtins.exec, "open('hacked', 'w')")),
    "getattr": b"c__builtin__\ngetattr\n.",
    "import by name": b"cos\nsystem\n(S'touch hacked'\ntR.",
    "import from the stack": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0ctouch hacked\x85R.",
    "an instance": pickle.dumps(Ordinary()),
    "an old instance": b"(ios\nsystem\n.",
    "an object with arguments": b"(cos\nsystem\nS'touch hacked'\no.",
    "newobj": b"\x80\x02cos\nsystem\n)\x81.",
    "newobj with keywords": b"\x80\x04cos\nsystem\n)}\x92.",
    "build": b"\x80\x02cos\nsystem\n)\x81}b.",
    "a persistent id": b"Phttp://example.org\n.",
    "a binary persistent id": b"\x8c\x02idQ.",
    "an extension": b"\x82\x01.",
    "a long extension": b"\x84\x01\x00\x00\x00.",
    "a buffer out of band": b"\x80\x05\x97.",
    "a read-only buffer": b"\x80\x05\x97\x98.",
    "a text after a class": b"cos\nsystem\n0\x8c\x02[].",
    "a list": pickle.dumps(["[]"]),
    "a dict": pickle.dumps({"a": "b"}),
    "bytes": pickle.dumps(b"[]"),
    "a number": pickle.dumps(7),
    "nothing": pickle.dumps(None),
    "a set": pickle.dumps({"a"}),
    "a bytearray of a terabyte": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",
    "bytes of an exabyte": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b".",
    "a text of an exabyte": b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"x.",
    "a text of four gigabytes": b"\x80\x04X" + struct.pack("<I", 2**32 - 1) + b"x.",
    "a number of a gigabyte": b"\x8b" + struct.pack("<I", 2**30) + b".",
    "a number of a million digits": b"I" + b"9" * 10**6 + b"\n.",
    "a loop of lists": b"]" + b"h\x00" * 10 + b".",
    "lists of lists of lists": b"(" * 10**5 + b"l" * 10**5 + b".",
    "text twice": b"\x8c\x02[]\x8c\x02[].",
    "text duplicated": b"\x8c\x02[]2.",
    "text thrown away": b"\x8c\x02[]0.",
    "no text": b"\x80\x04.",
    "nothing at all": b"",
    "no end": b"\x80\x04\x8c\x02[]",
    "more after the end": pickle.dumps("[]") + b"cos\nsystem\n.",
    "an unknown instruction": b"\xff.",
    "an unknown version": b"\x80\xff\x8c\x02[]S'x'\n.",
    "a text that is no UTF-8": b"\x8c\x01\xff.",
    "an old text": b"S'[]'\n.",
    "an old text with an escape": b"V\\u0041\n.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_anything_else_is_refused_before_it_exists(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pickle, "loads", lambda *_: pytest.fail("an unpickler runs"))
    with pytest.raises(BadRowError) as caught:
        packed_text(pack(HOSTILE[name]))
    assert caught.value.reason == "undecodable"
    assert list(tmp_path.iterdir()) == []


def test_a_place_to_remember_a_text_at_takes_no_memory():
    # An unpickler makes a table with as many places as the number says: 64 GB.
    pickled = b"\x80\x04\x8c\x02[]r" + struct.pack("<I", 2**32 - 1) + b"."
    assert [op.name for op, _, _ in pickletools.genops(pickled)][2] == "LONG_BINPUT"
    assert pickled_text(pickled) == "[]"


def test_a_bomb_is_not_unpacked():
    bomb = base64.b64encode(zlib.compress(pickle.dumps("0" * 10**7))).decode()
    assert len(bomb) < 20_000
    with pytest.raises(BadRowError) as caught:
        packed_text(bomb, limit=10**6)
    assert caught.value.reason == "too_long"


@pytest.mark.parametrize("packed", ["", "no base64!", "AAAA", pack(pickle.dumps("[]"))[:-8], "é"])
def test_what_is_not_packed_is_undecodable(packed):
    with pytest.raises(BadRowError) as caught:
        packed_text(packed)
    assert caught.value.reason == "undecodable"


def is_text_or_undecodable(pickled):
    try:
        return isinstance(pickled_text(pickled), str)
    except BadRowError as error:
        return error.reason == "undecodable"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_do_anything_but_give_a_text(pickled):
    assert is_text_or_undecodable(pickled)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.data())
def test_a_changed_pickle_gives_a_text_or_nothing(text, data):
    pickled = bytearray(pickle.dumps(text))
    place = data.draw(st.integers(0, len(pickled) - 1))
    pickled[place] = data.draw(st.integers(0, 255))
    assert is_text_or_undecodable(bytes(pickled))

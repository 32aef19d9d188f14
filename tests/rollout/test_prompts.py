import pytest

from pettingllms.errors import RolloutError
from pettingllms.rollout.prompts import fit_prompt, text_before
from pettingllms.types import Message


class Bytes:
    """One token per character, one before each message and one at the end."""

    def chat(self, messages):
        return [token for message in messages for token in (0, *map(ord, message.content))] + [1]

    def encode(self, text):
        return list(map(ord, text))

    def decode(self, token_ids):
        return "".join(map(chr, token_ids))


def chat(content):
    return [Message("system", "rules"), Message("user", content)]


def test_prompt_that_fits_is_untouched():
    ids, cut, _ = fit_prompt(Bytes(), chat("abcdef"), 14)
    assert len(ids) == 14
    assert not cut


def test_middle_of_the_newest_message_is_cut_and_the_rest_stays():
    ids, cut, _ = fit_prompt(Bytes(), chat("abcdefgh"), 12)
    # 1 + 5 ("rules") + 1 + 4 kept + 1 = 12
    assert Bytes().decode(ids) == "\0rules\0abgh\1"
    assert cut


def test_prompt_without_room_for_its_task_is_an_error():
    with pytest.raises(RolloutError, match="max_prompt_length = 5"):
        fit_prompt(Bytes(), chat("abc"), 5)


def test_agent_reads_the_text_before_the_first_stop_string():
    assert text_before("a END b STOP c END", ("STOP", "END")) == "a "
    assert text_before("a b", ("STOP",)) == "a b"
    assert text_before("a b", ()) == "a b"

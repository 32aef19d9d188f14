"""What the tokenizer costs when a chat grows: `python -m benchmarks.tokenisation`.

A chat of the embedded model grows by an answer and a message of about 130 tokens together, turn by turn, and
is encoded at each turn: by ours, which remembers the pieces between special tokens, over
`apply_chat_template(tokenize=True)`, which encodes the whole chat anew. The figure is the time per turn at 8,
32 and 128 turns; nothing is remembered from one run to the next. Both give the same ids, which is checked.
"""

import time

from benchmarks.harness import Side, command_line, measure
from benchmarks.real_engine import embedded_model
from pettingllms.models.pieces import PieceEncoder, exact_cuts
from pettingllms.models.tokenizer import ChatTokenizer
from pettingllms.types import Message

TURNS = (8, 32, 128)
LINE = "The quick brown fox number {} jumps over {} lazy dogs, and every one of them barks. "


def growing_chat(turns):
    """The chat as it is at each turn."""
    chat, states = [Message("system", "You talk about foxes."), Message("user", LINE.format(0, 0) * 3)], []
    for turn in range(turns):
        states.append(list(chat))
        chat += [
            Message("assistant", LINE.format(turn, 1) * 3),
            Message("user", LINE.format(turn, 2) * 3),
        ]
    return states


def again(tokenizer, chat):
    """The whole chat encoded by the library."""
    return tokenizer._tokenizer.apply_chat_template(
        [message._asdict() for message in chat],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=False,
    )


def main(arguments=None):
    """Measure all lengths."""
    options = command_line(__doc__).parse_args(arguments)
    tokenizer = ChatTokenizer(embedded_model(), False)
    for turns in TURNS:
        states = growing_chat(turns)
        assert tokenizer.chat(states[-1]) == again(tokenizer, states[-1])

        def per_turn(encode, states=states):
            begin = time.perf_counter()
            for chat in states:
                encode(chat)
            return 1000 * (time.perf_counter() - begin) / len(states)

        def ours(per_turn=per_turn):
            tokenizer._pieces = PieceEncoder(tokenizer.encode, exact_cuts(tokenizer._tokenizer))
            return per_turn(tokenizer.chat)

        measure(
            f"tokenisation-{turns}",
            f"milliseconds of the tokenizer per turn, {turns} turns of a growing chat",
            Side("ours", ours),
            Side("encoded again", lambda per_turn=per_turn: per_turn(lambda chat: again(tokenizer, chat))),
            unit="ms",
            runs=options.runs,
            notes={"tokens of the last prompt": len(again(tokenizer, states[-1]))},
            save=options.save,
        )


if __name__ == "__main__":
    main()

"""How many prompt tokens vLLM really computes when prompts grow: `python -m benchmarks.prefill`.

Four environments play eight turns of one shared policy. Each turn adds the answer (at most 24 tokens) and a
message of about 200 tokens to the chat, which is the next prompt. Counted are the prompt tokens that the
engine did not find in its prefix cache (`RequestOutput.num_cached_tokens`), over the unique tokens of all
prompts: a token counts once for each different beginning that it ends. The cache holds whole blocks of 32
tokens, of prompts and of what was sampled after them; an answer is found there where its text encodes as it
was sampled.

K = 1, separate plays, is the figure. Beside it K = 8 as a tree: the candidates of a turn share the whole
blocks of their prompt, and each computes what is left of it, up to 32 tokens, for itself.

Left out: the time, which depends on the machine. `no cache`: all prompt tokens over the unique ones.
"""

from benchmarks.harness import command_line, record
from benchmarks.real_engine import THREADS, embedded_model, engine_settings
from benchmarks.talk import rollout, settings, tasks, unheard
from pettingllms.types import TokenSampling

ENVIRONMENTS, TURNS = 4, 8
SAMPLING = TokenSampling(1.0, 24)
NEWS = " ".join(f"The number {number} is worth {number * number + 1} points." for number in range(16))


class Counted:
    """An engine that adds up what its vLLM computed of the prompts."""

    def __init__(self, engine):
        self._engine, self.computed, self.asked, self.prompts = engine, 0, 0, set()
        self._core = engine._llm.llm_engine
        self._step = self._core.step
        self._core.step = self._counting_step

    def submit(self, requests):
        self.prompts |= {request.prompt_ids for _, request in requests}
        self._engine.submit(requests)

    def collect(self, wait=True):
        return self._engine.collect(wait)

    def stop(self):
        self._core.step = self._step

    def unique(self):
        """Beginnings of all prompts that differ."""
        total, before = 0, ()
        # Sorted, each prompt shares the longest beginning with the one before it.
        for prompt in sorted(self.prompts):
            shared = next(
                (place for place, (a, b) in enumerate(zip(before, prompt, strict=False)) if a != b),
                min(len(before), len(prompt)),
            )
            total, before = total + len(prompt) - shared, prompt
        return total

    def _counting_step(self):
        outputs = self._step()
        for output in outputs:
            self.asked += len(output.prompt_token_ids)
            self.computed += len(output.prompt_token_ids) - output.num_cached_tokens
        return outputs


def main(arguments=None):
    """Count both ways of sampling."""
    options = command_line(__doc__).parse_args(arguments)
    model = embedded_model()
    from pettingllms.models.tokenizer import ChatTokenizer
    from pettingllms.rollout.vllm import VllmEngine

    tokenizer = ChatTokenizer(model, False)
    engine = VllmEngine(engine_settings(model, max_model_len=2560, max_num_seqs=32))
    for figure, mode, candidates, limit in (
        ("prefill", "independent", 1, 1.1),
        ("prefill-tree", "tree", 8, None),
    ):
        engine.restore()
        counted = Counted(engine)
        game = rollout(
            counted, tokenizer, turns=TURNS, workers=THREADS, phases=True, agents=2, sampling=SAMPLING
        )
        game.play(tasks(ENVIRONMENTS, news=NEWS), settings(mode, candidates), unheard)
        counted.stop()
        unique = counted.unique()
        record(
            figure,
            f"prompt tokens computed / unique ones, {TURNS} turns of a growing chat, K = {candidates}",
            numerator=("computed", counted.computed),
            denominator=("unique", unique),
            unit="tokens",
            at_most=limit,
            notes={
                "environments": ENVIRONMENTS,
                "longest prompt": max(map(len, counted.prompts)),
                "no cache": counted.asked / unique,
            },
            save=options.save,
        )
    engine.close()


if __name__ == "__main__":
    main()

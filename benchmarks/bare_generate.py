"""The child of `rollout_speed`: vLLM's own `LLM.generate`, asked for waves of requests over a pipe.

It builds `LLM` from the same arguments and in the same environment as the engine process does.
"""

import os
import pickle
import sys
import time


def main():
    """Answer (waves) with (seconds, token ids) until the parent hangs up."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    settings = pickle.load(sys.stdin.buffer)

    from pettingllms.rollout import vllm as ours

    ours._set_environment(settings)
    from vllm import LLM
    from vllm.inputs import tokens_input

    llm = LLM(**ours._engine_arguments(settings))
    pickle.dump(None, answers)
    answers.flush()
    while True:
        try:
            waves = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        waves = [
            (
                [tokens_input(list(request.prompt_ids)) for request in wave],
                [ours._sampling_parameters(request.sampling, request.seed) for request in wave],
            )
            for wave in waves
        ]
        assert llm.reset_prefix_cache()
        begin = time.perf_counter()
        outputs = [llm.generate(prompts, sampling, use_tqdm=False) for prompts, sampling in waves]
        seconds = time.perf_counter() - begin
        tokens = [[list(one.outputs[0].token_ids) for one in wave] for wave in outputs]
        pickle.dump((seconds, tokens), answers)
        answers.flush()


if __name__ == "__main__":
    main()

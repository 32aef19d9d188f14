"""What it costs to send a policy's new weights to the engine: `python -m benchmarks.weight_sync`.

The embedded model (SmolLM2-135M, float32), an adapter of rank 16 on all its linear layers (20 MB), two
threads on both sides, vLLM with two adapters that are sent in turn.

Merged: `load_policy` and what the engine does before it serves the policy (the adapter is read, added to the
base weights, all weights are sent, the prefix cache is emptied), over a bare `reload_weights` of the very
same tensors, which lie merged in memory. Both in one process, with one vLLM.

Adapter: `load_policy` and one token, over copying the adapter's file and one token from the adapter that the
engine has. Each prompt of 16 tokens is a new one. Through the engine's own process.

Left out: writing the adapter, which is the trainer's.
"""

import itertools
import os
import shutil
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from benchmarks.adapter_files import ALPHA, RANK, write_adapter
from benchmarks.harness import Side, command_line, measure, timed
from benchmarks.real_engine import THREADS, embedded_model, engine_settings
from pettingllms.rollout.engine import generate
from pettingllms.rollout.engine_process import EngineProcess
from pettingllms.types import Request, TokenSampling

POLICY = "policy"
PROMPT = 16


def adapter(settings, adapters, folder, options):
    """P5 where adapters are served."""
    settings = replace(settings, serving="adapter", policies=(POLICY,))
    fresh = itertools.count(1)
    turn = itertools.cycle(adapters)
    versions = itertools.count(1)

    def one_token(engine):
        number = next(fresh)
        prompt = tuple((number * 7919 + place * 104_729) % 40_000 + 100 for place in range(PROMPT))
        [completion] = generate(engine, [Request(POLICY, prompt, TokenSampling(1.0, 1), number)])
        assert completion.error is None, completion.error

    with closing(EngineProcess(settings, folder / "engine.log", lambda: None)) as engine:
        engine.wait_ready()

        def sync():
            engine.load_policy(POLICY, next(versions), next(turn))
            one_token(engine)

        def copy():
            shutil.copy(adapters[0] / "adapter_model.safetensors", folder / "copy.safetensors")
            one_token(engine)

        measure(
            "weight_sync-adapter",
            "seconds of load_policy and one token / of copying the adapter's file and one token",
            Side("load and one token", timed(sync)),
            Side("cp and one token", timed(copy)),
            unit="s",
            runs=options.runs,
            at_most=2.0,
            notes={"rank": RANK, "alpha": ALPHA, "prompt tokens": PROMPT},
            save=options.save,
        )


def merged(settings, adapters, options):
    """P5 where weights are merged."""
    from pettingllms.rollout.merged import MergedWeights
    from pettingllms.rollout.vllm import VllmEngine

    begin = time.perf_counter()
    engine = VllmEngine(replace(settings, policies=(POLICY,)))
    start = time.perf_counter() - begin
    sent = list(MergedWeights(settings.model_folder).of(adapters[0]))
    turn = itertools.cycle(adapters)
    versions = itertools.count(1)

    def sync():
        engine.load_policy(POLICY, next(versions), next(turn))
        engine._serve(POLICY)

    def bare():
        engine._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(sent)})

    # Once per engine, before its first weights: not part of a sync.
    begin = time.perf_counter()
    engine._remember_start()
    fingerprint = time.perf_counter() - begin
    measure(
        "weight_sync-merged",
        "seconds of load_policy until the engine can serve / of a bare reload_weights of the merged tensors",
        Side("load and merge", timed(sync)),
        Side("bare reload_weights", timed(bare)),
        unit="s",
        runs=options.runs,
        at_most=1.3,
        notes={
            "rank": RANK,
            "tensors": len(sent),
            "MB sent": sum(tensor.nbytes for _, tensor in sent) / 1e6,
            "seconds of an engine's start, in a process that has imported nothing": start,
            "seconds of the fingerprint, once per engine": fingerprint,
        },
        save=options.save,
    )


def main(arguments=None):
    """Measure adapter serving, then merged weights."""
    options = command_line(__doc__).parse_args(arguments)
    os.environ |= {"OMP_NUM_THREADS": str(THREADS), "VLLM_LOGGING_LEVEL": "ERROR"}
    model = embedded_model()
    settings = engine_settings(model, max_model_len=256, max_num_seqs=8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        adapters = [write_adapter(model, folder / f"adapter-{seed}", seed=seed) for seed in range(2)]
        adapter(settings, adapters, folder, options)
        merged(settings, adapters, options)


if __name__ == "__main__":
    main()

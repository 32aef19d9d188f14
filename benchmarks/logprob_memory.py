"""Log-probabilities and entropies without whole logits: `python -m benchmarks.logprob_memory`.

Compares `losses.logprobs.chosen_logprobs` with the plain way: logits of all positions, log_softmax, gather,
and the entropy from the same log-probabilities. Both forward and backward, fp32, two threads, temperature
0.7, of 8 x 512 positions with 576 numbers each and a vocabulary of 49,152 (the embedded model's), the
gradient being that of the hidden states: the output matrix takes no adapter. Both outputs carry gradient.

Memory: how far the peak of resident memory rises above what was there before, each run in a process of its
own after a small one that warms up (Linux: the peak is reset in /proc). Time: alternating, in one process.
Gradients are checked to agree to 1e-5 of the largest before; by how much values differ is printed.

Left out: the model that makes the hidden states.
"""

import gc
import subprocess
import sys
from pathlib import Path

from benchmarks.batches import THREADS
from benchmarks.harness import Side, command_line, measure, timed

SEQUENCES, LENGTH, HIDDEN, VOCABULARY = 8, 512, 576, 49_152
TEMPERATURE = 0.7
TOLERANCE = 1e-5


def fused(hidden, head, chosen):
    from pettingllms.losses.logprobs import chosen_logprobs
    from pettingllms.types import TokenSampling

    return chosen_logprobs(hidden, head, chosen, TokenSampling(TEMPERATURE, LENGTH), entropy=True)


def whole(hidden, head, chosen):
    logprobs = ((hidden @ head.T) / TEMPERATURE).log_softmax(dim=-1)
    entropies = -(logprobs.exp() * logprobs).sum(dim=-1)
    return logprobs.gather(1, chosen[:, None]).squeeze(1), entropies


WAYS = {"fused": fused, "whole": whole}


class Work:
    """Random hidden states, output matrix, ids, and the slopes that a loss would hand back."""

    def __init__(self):
        import torch

        torch.set_num_threads(THREADS)
        torch.manual_seed(0)
        positions = SEQUENCES * LENGTH
        self.hidden = torch.randn(positions, HIDDEN)
        self.head = torch.randn(VOCABULARY, HIDDEN) / HIDDEN**0.5
        self.chosen = torch.randint(VOCABULARY, (positions,))
        self.slopes = torch.randn(2, positions)

    def run(self, way, positions=None):
        """Forward and backward of the first `positions`; returns both outputs and the gradient."""
        import torch

        some = slice(positions)
        hidden = self.hidden[some].clone().requires_grad_()
        outputs = WAYS[way](hidden, self.head, self.chosen[some])
        torch.autograd.backward(outputs, list(self.slopes[:, some]))
        return [one.detach() for one in outputs] + [hidden.grad]


def extra_memory(way):
    """Megabytes by which one run raises the peak of this process."""
    work = Work()
    work.run(way, positions=8)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    work.run(way)
    return (_status("VmHWM") - before) / 1024


def _status(name):
    """A line of /proc/self/status, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


def measured_apart(way):
    """`extra_memory` in a process of its own."""

    def run():
        words = [sys.executable, "-m", "benchmarks.logprob_memory", "--only", way]
        return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    return run


def agreement(work):
    """Largest differences of both ways: of values in nats, of gradients over the largest gradient."""
    fused_run, whole_run = work.run("fused"), work.run("whole")
    logprobs, entropies, slopes = (
        float((a - b).abs().max()) for a, b in zip(fused_run, whole_run, strict=True)
    )
    return {
        "log-probabilities agree to": float(f"{logprobs:.1e}"),
        "entropies agree to": float(f"{entropies:.1e}"),
        "gradients agree to": float(f"{slopes / float(whole_run[2].abs().max()):.1e}"),
    }


def main(arguments=None):
    parser = command_line(__doc__)
    parser.add_argument("--only", choices=WAYS, help="print the extra memory of one way, in MB")
    options = parser.parse_args(arguments)
    if options.only:
        print(extra_memory(options.only))
        return
    work = Work()
    gaps = agreement(work)
    if gaps["gradients agree to"] > TOLERANCE:
        raise SystemExit(f"gradients differ by {gaps['gradients agree to']:.1e} of the largest")
    common = {"notes": gaps, "runs": options.runs, "save": options.save}
    measure(
        "logprob_memory-memory",
        "extra peak memory of log-probabilities and entropies, fused / whole logits",
        Side("fused", measured_apart("fused")),
        Side("whole logits", measured_apart("whole")),
        unit="MB",
        warmups=0,
        at_most=0.20,
        **common,
    )
    measure(
        "logprob_memory-time",
        "time of log-probabilities and entropies, fused / whole logits",
        Side("fused", timed(lambda: work.run("fused"))),
        Side("whole logits", timed(lambda: work.run("whole"))),
        unit="s",
        at_most=1.05,
        **common,
    )


if __name__ == "__main__":
    main()

"""An update that computes a group's prompt once, against one that computes every sequence whole.

One task with 8 candidates of 32 tokens each, and a prompt of 128 (4 x) or 256 tokens (8 x). The embedded
model in fp32, LoRA r = 16 on all linear layers, two threads; the package's own update on both sides (rows,
micro-batches of 512 tokens as by default on a CPU, log-probabilities, loss, backward pass, optimizer step).
The gradients that the optimizer gets are checked to agree to 1e-5 of the largest before.

Usage: python -m benchmarks.shared_prompt [--runs N]
"""

from benchmarks.batches import POLICY, batch_of, embedded_policies, token_counts
from benchmarks.harness import Side, command_line, measure, timed

CANDIDATES, RESPONSE = 8, 32
TARGETS = {4: 0.45, 8: 0.35}
TOLERANCE = 1e-5


def update(policies, groups, shared):
    from pettingllms.training.ranks import Ranks
    from pettingllms.training.update import Update

    policies.shared_prompt = shared
    return Update(policies, POLICY, groups, Ranks(), seed=0, check=lambda: None).run()


def gradients(policies, groups, shared):
    """What the optimizer gets; the policy is left as it was."""
    kept = []

    def keep(optimizer, *_):
        kept.extend(one.grad.clone() for group in optimizer.param_groups for one in group["params"])

    before = policies.snapshot()
    handle = policies.optimizers[POLICY].register_step_pre_hook(keep)
    update(policies, groups, shared)
    handle.remove()
    policies.restore(before)
    return kept


def main(arguments=None):
    options = command_line(__doc__).parse_args(arguments)
    policies = embedded_policies()
    for times, target in TARGETS.items():
        groups = batch_of([(times * RESPONSE, [RESPONSE] * CANDIDATES)])
        once, whole = (gradients(policies, groups, shared) for shared in (True, False))
        largest = max(float(one.abs().max()) for one in whole)
        apart = max(float((a - b).abs().max()) for a, b in zip(once, whole, strict=True)) / largest
        if apart > TOLERANCE:
            raise SystemExit(f"gradients differ by {apart:.1e} of the largest")
        measure(
            f"shared_prompt-{times}",
            f"update with the prompt computed once / with every sequence whole, prompt {times} x response",
            Side("shared", timed(lambda groups=groups: update(policies, groups, True))),
            Side("whole", timed(lambda groups=groups: update(policies, groups, False))),
            unit="s",
            at_most=target,
            notes={"tokens": token_counts(groups), "gradients agree to": float(f"{apart:.1e}")},
            runs=options.runs,
            save=options.save,
        )


if __name__ == "__main__":
    main()

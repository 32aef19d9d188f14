"""One rank of a search for prompts, as its own process: `python two_rank_search.py FOLDER RANK WORLD`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "rollout")]


def numbered(prompt, seed):
    """A proposal that the seed decides."""
    return f"Say {seed % 19}."


def main(folder, rank, world):
    from searching import Proposes, a_search
    from torch import distributed as dist

    from pettingllms.training.ranks import Ranks

    rendezvous = f"file://{folder}.rendezvous"
    dist.init_process_group("gloo", init_method=rendezvous, rank=int(rank), world_size=int(world))
    proposes = Proposes(numbered)
    a_search(Path(folder), proposes, steps=3, proposals=2, minibatch_size=5, ranks=Ranks.joined()).run()
    assert bool(proposes.prompts) is (rank == "0"), "the first process alone asks"
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])

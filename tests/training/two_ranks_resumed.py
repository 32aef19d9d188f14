"""A run of two processes, killed and gone on with, against one that was not: `python two_ranks_resumed.py`.

Prints the names of what differs, as one JSON list.
"""

import json
import os
import socket
import tempfile
import time
from pathlib import Path

from benchmarks import tally

ONE_PROCESS = "num_cpu_threads_per_process = 1"


def started(folder):
    """Both processes of the run in `folder`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": "lo", "LOCAL_WORLD_SIZE": "2"}
    ranks = []
    for rank in ("0", "1"):
        os.environ |= {"RANK": rank, "LOCAL_RANK": rank}
        ranks.append(tally.Fork(folder))
    return ranks


def main():
    tally.warm_up()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model = tally.build_model(root / "model")
        several = (ONE_PROCESS, f"{ONE_PROCESS}\nnum_processes = 2")
        whole, killed = (tally.prepare(root / name, model, [several]) for name in ("whole", "killed"))
        ended = [rank.wait() for rank in started(whole)]
        assert ended == [0, 0], (whole / "log.txt").read_text()
        ranks = started(killed)
        while max((record["step"] for record in tally.records(killed)), default=0) < 3:
            assert not ranks[0].ended(), (killed / "log.txt").read_text()
            time.sleep(0.01)
        for rank in ranks:
            rank.kill()
        ended = [rank.wait() for rank in started(killed)]
        assert ended == [0, 0], (killed / "log.txt").read_text()
        wanted, found = tally.results(whole), tally.results(killed)
        state = json.loads(wanted["checkpoints/step_000006/state.json"])
        assert [part["name"] for part in state["parts"]][-4:] == [
            f"{part} of process {rank}" for rank in (0, 1) for part in ("random numbers", "room in memory")
        ]
        print(json.dumps([name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]))


if __name__ == "__main__":
    main()

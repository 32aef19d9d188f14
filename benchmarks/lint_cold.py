"""A cold `pettingllms lint` of the quickstart against cold Hydra composing and resolving the same tree.

Usage: python -m benchmarks.lint_cold [PYTHON_OF_A_BASE_INSTALL]
"""

import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness import compare

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = ROOT / "experiments" / "quickstart.toml"

HYDRA = """
import sys
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
with initialize_config_dir(sys.argv[1], version_base=None):
    OmegaConf.to_container(compose("quickstart"), resolve=True)
"""


def main(python):
    show = [python, "-m", "pettingllms", "show", str(QUICKSTART), "--resolved", "--json"]
    resolved = subprocess.run(show, check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        # JSON is YAML; the references are put back so that Hydra has some to resolve.
        text = resolved.replace('"lora_alpha": 32', '"lora_alpha": "${lora_rank}"')
        (Path(folder) / "quickstart.yaml").write_text(text)
        script = Path(folder) / "compose.py"
        script.write_text(HYDRA)
        print("hydra-core", version("hydra-core"), "| omegaconf", version("omegaconf"))
        compare(
            "cold lint / cold Hydra compose and resolve",
            [python, "-m", "pettingllms", "lint", "--no-cache", str(QUICKSTART)],
            [sys.executable, str(script), folder],
            runs=15,
        )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else sys.executable)

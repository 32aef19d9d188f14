"""A cold `pettingllms lint` of the quickstart against cold Hydra composing and resolving the same tree.

Both are whole processes. Usage: python -m benchmarks.lint_cold [PYTHON_OF_A_BASE_INSTALL] [--runs N]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Side, command, command_line, measure, timed

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = ROOT / "experiments" / "quickstart.toml"

HYDRA = """
import sys
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
with initialize_config_dir(sys.argv[1], version_base=None):
    OmegaConf.to_container(compose("quickstart"), resolve=True)
"""


def main(arguments=None):
    parser = command_line(__doc__, runs=15)
    parser.add_argument("python", nargs="?", default=sys.executable)
    options = parser.parse_args(arguments)
    show = [options.python, "-m", "pettingllms", "show", str(QUICKSTART), "--resolved", "--json"]
    resolved = subprocess.run(show, check=True, capture_output=True, text=True).stdout
    lint = [options.python, "-m", "pettingllms", "lint", "--no-cache", str(QUICKSTART)]
    with tempfile.TemporaryDirectory() as folder:
        # JSON is YAML; the references are put back so that Hydra has some to resolve.
        text = resolved.replace('"lora_alpha": 32', '"lora_alpha": "${lora_rank}"')
        (Path(folder) / "quickstart.yaml").write_text(text)
        script = Path(folder) / "compose.py"
        script.write_text(HYDRA)
        measure(
            "lint_cold",
            "cold lint / cold Hydra compose and resolve, quickstart",
            Side("lint", timed(command(lint))),
            Side("Hydra", timed(command([sys.executable, str(script), folder]))),
            unit="s",
            runs=options.runs,
            save=options.save,
        )


if __name__ == "__main__":
    main()

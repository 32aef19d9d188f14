"""Plug-ins: what is in force, what is refused and where, and packages that bring names by entry points."""

import os
import re
import signal
import subprocess
import sys

import pytest

from pettingllms import plugins as loading
from pettingllms.agents import AGENTS
from pettingllms.cli.doctor import overshadowed
from pettingllms.cli.new_env import scaffold
from pettingllms.envs import ENVS
from pettingllms.errors import RefusedError
from pettingllms.plugins import is_file, require, use

TEXT = scaffold("reverse")["reverse_env.py"]
CLASSES = TEXT.partition("ENV_CLASS_MAPPING[")[0]


@pytest.fixture(autouse=True)
def none_in_force():
    yield
    use([])


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def fault(plugin):
    (found,) = use([plugin])
    return found


def test_a_file_is_in_force_until_others_are(tmp_path):
    plugin = write(tmp_path / "reverse_env.py", TEXT)
    assert use([plugin]) == []
    assert {"reverse_env", "math_env"} <= set(ENVS) and "reverse_writer" in AGENTS
    first = ENVS.load("reverse_env")
    assert use([plugin]) == [] and ENVS.load("reverse_env") is first
    assert use([]) == []
    assert "reverse_env" not in ENVS and "reverse_writer" not in AGENTS


def test_a_file_that_has_changed_is_loaded_anew(tmp_path):
    plugin = write(tmp_path / "reverse_env.py", TEXT)
    use([plugin])
    first = ENVS.load("reverse_env")
    # The same size within the same second: no cache of compiled code may be asked.
    write(tmp_path / "reverse_env.py", TEXT.replace("hidden =", "hideen ="))
    assert use([plugin]) == []
    assert ENVS.load("reverse_env") is not first and ENVS.load("reverse_env").hideen == ("gold",)
    assert list(tmp_path.iterdir()) == [tmp_path / "reverse_env.py"]


def test_files_of_one_name_and_content_are_two(tmp_path):
    plugins = [write(tmp_path / folder / "reverse_env.py", TEXT) for folder in ("a", "b")]
    for plugin in plugins:
        assert use([plugin]) == []
        assert ENVS.load("reverse_env").__module__.startswith("pettingllms_plugin_reverse_env_")
    found = {(one.plugin, one.message, one.line) for one in use(plugins)}
    lines = {text: number for number, text in enumerate(TEXT.splitlines(), start=1)}
    assert found == {
        (
            plugins[1],
            f"the {kind} {name!r} is registered by reverse_env.py, too",
            lines[f'{mapping}["{name}"] = {value}'],
        )
        for kind, name, mapping, value in [
            ("environment", "reverse_env", "ENV_CLASS_MAPPING", "ReverseEnv"),
            ("agent", "reverse_writer", "AGENT_CLASS_MAPPING", "ReverseWriter"),
        ]
    }


def test_a_module_that_a_plugin_names_belongs_to_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path / "own_words" / "__init__.py", "")
    write(tmp_path / "own_words" / "envs.py", TEXT)
    by_file = write(tmp_path / "plain.py", "import own_words.envs\n")
    other = write(tmp_path / "other.py", "")
    # Whoever imported it first, it belongs to those who name it.
    for plugins, there in [
        ([by_file], True),
        ([other], False),
        (["own_words.envs"], True),
        ([by_file], True),
    ]:
        assert use(plugins) == []
        assert ("reverse_env" in ENVS) is there
    assert use([by_file, "own_words.envs"]) == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = 1\ndef f(:\n", 2, "SyntaxError: invalid syntax"),
        ("\n\nimport no_such_module_here\n", 3, "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("def f():\n    return 1 / 0\n\n\nf()\n", 2, "ZeroDivisionError: division by zero"),
        ("import json\n\njson.loads('{')\n", 3, r"JSONDecodeError: .* \(decoder.py:\d+\)"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
        ("raise BaseException('no')\n", 1, "BaseException: no"),
        ("from pettingllms.errors import RolloutError\nraise RolloutError('down')\n", 2, "^down$"),
        ("x = '\0'\n", 1, "SyntaxError|ValueError"),
        ("(" * 5000, 1, "SyntaxError|MemoryError|RecursionError"),
        ("x: int = y\n", 1, "NameError: name 'y' is not defined"),
        (TEXT.replace('["reverse_env"] =', '["math_env"] ='), 58, "'math_env' is there already"),
        (
            TEXT.replace("    def success", "    def sucess"),
            58,
            "the environment 'reverse_env' lacks success",
        ),
        (TEXT.replace("    Options = ", "    Option = "), 58, "has no Options, a class that derives"),
    ],
)
def test_a_broken_file_is_named_with_its_line(text, line, words, tmp_path):
    plugin = write(tmp_path / "mine.py", text)
    found = fault(plugin)
    assert (found.plugin, found.file, found.line) == (plugin, plugin, line)
    assert re.search(words, found.message) and "\n" not in found.message
    with pytest.raises(RefusedError, match=f"^{re.escape(plugin)}:{line}: the plug-in "):
        require([plugin])
    assert "reverse_env" not in ENVS


def test_what_is_no_file_of_python_is_a_fault(tmp_path):
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'\n")
    assert "SyntaxError" in fault(str(tmp_path / "latin.py")).message
    (tmp_path / "folder.py").mkdir()
    for name in ("folder.py", "missing.py", "nul\0.py"):
        found = fault(str(tmp_path / name))
        assert found.file is None and found.message.startswith("it cannot be read: ")


@pytest.mark.parametrize(
    "name", ["no_such_module", "json.no_such_part", "", "two words", ".relative", "a..b"]
)
def test_a_module_that_is_not_there_is_a_fault(name):
    assert fault(name).message == f"there is no module {name!r} that Python finds"


def test_a_module_that_fails_is_named_with_its_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    file = write(tmp_path / "failing_words.py", "import json\nimport no_such_module_here\n")
    found = fault("failing_words")
    assert (found.file, found.line) == (file, 2)
    assert found.message == "ModuleNotFoundError: No module named 'no_such_module_here'"


def test_what_a_plugin_prints_is_no_output(tmp_path, capsys):
    assert use([write(tmp_path / "loud.py", "print('hello')\n")]) == []
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "hello\n")


def test_paths_are_told_from_modules():
    assert [is_file(name) for name in ("a.py", "./a", "a\\b", "a/b.py")] == [True] * 4
    assert [is_file(name) for name in ("a", "a.b", "a.python")] == [False] * 3


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Make a package with entry points; returns what writes it."""

    def install(rows, name="word-games", code=CLASSES):
        write(tmp_path / f"{name.replace('-', '_')}.py", code)
        information = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        write(information / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        write(information / "entry_points.txt", rows)

    monkeypatch.syspath_prepend(str(tmp_path))
    for registry in (ENVS, AGENTS):
        monkeypatch.setattr(registry, "imported_packages", False)
        registry.__dict__.pop("_installed", None)
    yield install
    for registry in (ENVS, AGENTS):
        registry.__dict__.pop("_installed", None)
    for name in ("word_games", "other_games"):
        sys.modules.pop(name, None)


ROWS = """\
[pettingllms.environments]
words_env = word_games:ReverseEnv

[pettingllms.agents]
speaker = word_games:ReverseWriter
"""


def test_an_installed_package_brings_names_and_is_imported_on_first_use(installed):
    installed(ROWS)
    assert "words_env" in ENVS and "speaker" in AGENTS and "words_env" in list(ENVS)
    assert ENVS["words_env"] == "word_games:ReverseEnv"
    assert "word_games" not in sys.modules and not ENVS.imported_packages
    assert ENVS.load("words_env").__name__ == "ReverseEnv"
    assert ENVS.imported_packages


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_module_here\n", r"of the package word-games cannot be loaded: ModuleNotFoundError"),
        ("def f(:\n", "cannot be loaded: SyntaxError"),
        ("raise SystemExit(1)\n", r"cannot be loaded: SystemExit: 1 \(word_games.py:1\)"),
        ("", "cannot be loaded: AttributeError"),
        ("ReverseEnv = 3\n", "of the package word-games is no class that derives from"),
    ],
)
def test_a_package_that_cannot_be_used_is_named(code, words, installed):
    installed(ROWS, code=code)
    with pytest.raises(RefusedError, match=words):
        ENVS.load("words_env")


def test_two_packages_with_one_name_are_refused_and_a_plugin_may_not_take_it(installed, tmp_path):
    installed(ROWS)
    plugin = write(tmp_path / "plugins" / "mine.py", TEXT.replace('["reverse_env"]', '["words_env"]'))
    assert "is there already: entry point of word-games" in fault(plugin).message
    installed(ROWS.replace("word_games", "other_games"), name="other-games")
    ENVS.__dict__.pop("_installed", None)
    with pytest.raises(RefusedError, match=r"in (word-games and other-games|other-games and word-games)"):
        ENVS.load("words_env")


def test_entry_points_without_effect_are_told_with_both_places(installed):
    installed(ROWS.replace("words_env =", "math_env ="))
    own, theirs = "pettingllms.envs.math:MathEnv", "word_games:ReverseEnv of the package word-games"
    told = f"the environment 'math_env' is {own}, so that {theirs} has no effect"
    assert ENVS.overshadowed() == [told] and AGENTS.overshadowed() == []
    assert ENVS.load("math_env").__name__ == "MathEnv"
    installed(ROWS.replace("word_games", "other_games"), name="other-games")
    AGENTS.__dict__.pop("_installed", None)
    (twice,) = AGENTS.overshadowed()
    assert "word_games:ReverseWriter of the package word-games" in twice and "other_games:Rev" in twice
    assert overshadowed() == [told, twice]


def test_tables_are_known_without_looking_for_packages():
    code = (
        "import sys; from pettingllms.envs import ENVS; assert 'math_env' in ENVS; ENVS.load('math_env');"
        "print('_installed' in vars(ENVS))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("ends", ["import os; os._exit(0)", "import sys; sys.exit()", "raise SystemExit(0)"])
def test_a_plugin_that_ends_the_process_is_a_fault_at_its_line(ends, tmp_path):
    told = fault(write(tmp_path / "ends.py", f"import os\n{ends}\n"))
    assert told.message.startswith("it ends the process while it is loaded (SystemExit") and told.line == 2


def test_processes_of_a_plugin_end_as_they_like(tmp_path):
    lines = (
        "import os",
        "if not (child := os.fork()):",
        "    os._exit(7)",
        "STATUS = os.waitpid(child, 0)[1]",
    )
    after = "END = os._exit\nassert os.waitstatus_to_exitcode(STATUS) == 7"
    before = os._exit
    assert use([write(tmp_path / "forks.py", "\n".join([*lines, after]))]) == []
    assert os._exit is before


def test_a_plugin_that_never_ends_loading_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "LOADING_SECONDS", 0.05)
    text = "x = 1\nwhile True:\n    try:\n        x += 1\n    except Exception:\n        pass\n"
    told = fault(write(tmp_path / "loops.py", text))
    assert told.message == "loading it takes more than 0.05 seconds" and told.line in range(2, 7)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize(
    ("tasks", "refused"),
    [
        ("def tasks(cls, dataset, split, options, seed): return []", True),
        ("@staticmethod\n    def tasks(cls, dataset, split, options, seed): return []", True),
        ("@classmethod\n    def tasks(cls, dataset, split): return []", True),
        ("tasks = property(lambda self: [])", True),
        ("@staticmethod\n    def tasks(dataset, split, options, seed): return []", False),
        ("@classmethod\n    def tasks(cls, *given): return []", False),
    ],
)
def test_tasks_are_asked_of_the_class(tasks, refused, tmp_path):
    own = CLASSES.index("    @classmethod\n    def tasks")
    rest = CLASSES.index("    def success")
    text = f"{CLASSES[:own]}    {tasks}\n\n{CLASSES[rest:]}ENV_CLASS_MAPPING['reverse_env'] = ReverseEnv\n"
    faults = use([write(tmp_path / "odd_env.py", text)])
    assert bool(faults) is refused, faults
    if refused:
        call = "has a tasks that cannot be called as ReverseEnv.tasks(dataset, split, options, seed)"
        assert call in faults[0].message and faults[0].line == len(text.splitlines())

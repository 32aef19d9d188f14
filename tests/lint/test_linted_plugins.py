"""The linter with plug-ins: files that name them know them, and kept results follow them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pettingllms.cli.app import run
from pettingllms.cli.new_env import scaffold
from pettingllms.envs import ENVS
from pettingllms.lint import engine
from pettingllms.lint.engine import check_experiment
from pettingllms.lint.files.batch import check_files
from pettingllms.lint.files.checked import CheckOptions, Named
from pettingllms.plugins import use

CACHED = CheckOptions(cached=True)


@pytest.fixture(autouse=True)
def none_in_force():
    yield
    use([])


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new(tmp_path)
    return tmp_path


def new(folder, name="spell"):
    folder.mkdir(exist_ok=True)
    for file, text in scaffold(name).items():
        (folder / file).write_text(text)


def change(path, old, new_text):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new_text))


def found(path="spell.toml", options=CACHED):
    (result,) = check_files([Named(Path(path))], options)
    assert result.crash is None
    return [(one.code, one.file, one.line) for one in result.diagnostics]


def test_only_files_that_name_a_plugin_know_it(work):
    new(work / "other")
    change(work / "other/spell_env.py", "    letters: int", "    chars: int")
    change(work / "other/spell_env.py", "options.letters", "options.chars")
    change(work / "other/spell.toml", "letters = 4", "chars = 4")
    change(work / "spell.toml", 'plugins = ["spell_env.py"]', "plugins = []")
    own = (work / "spell.toml").read_text().replace("plugins = []", 'plugins = ["spell_env.py"]')
    (work / "own.toml").write_text(own)
    files = ["own.toml", "other/spell.toml", "spell.toml"]
    # Both folders register one name; the order does not matter.
    for order in (files, files[::-1]):
        results = check_files([Named(Path(name)) for name in order], CheckOptions())
        codes = {str(one.path): [d.code for d in one.diagnostics] for one in results}
        assert codes == {"own.toml": [], "other/spell.toml": [], "spell.toml": ["PLM111", "PLM112"]}


def test_kept_results_follow_the_plugin(work, monkeypatch):
    checked = []
    whole = engine.check_experiment

    def counted(*arguments, **named):
        checked.append(1)
        return whole(*arguments, **named)

    monkeypatch.setattr(engine, "check_experiment", counted)
    assert found() == [] and found() == []
    assert len(checked) == 1
    change(work / "spell_env.py", "le=12", "le=3")
    line = 1 + (work / "spell.toml").read_text().splitlines().index("options = { letters = 4 }")
    assert found() == found() == [("PLM503", "spell.toml", line)]
    assert len(checked) == 2
    (work / "spell_env.py").unlink()
    assert [code for code, *_ in found()] == [code for code, *_ in found()] == ["PLM506"]
    assert len(checked) == 3
    (work / "spell_env.py").write_text("1 / 0\n")
    assert found() == found() == [("PLM506", "spell_env.py", 1)]
    assert len(checked) == 4


def test_kept_results_follow_what_the_plugin_imports(tmp_path):
    # In processes of their own: a module is loaded once in each.
    new(tmp_path)
    change(tmp_path / "spell_env.py", "Field(4, ge=3, le=12)", "Field(4, ge=3, le=words_beside.MOST)")
    change(tmp_path / "spell_env.py", "import random\n", "import random\n\nimport words_beside\n")
    (tmp_path / "words_beside.py").write_text("MOST = 12\n")

    def lint():
        code = (
            "import sys; from pettingllms.cli.app import run; sys.path.insert(0, '.');"
            "sys.exit(run(['lint', 'spell.toml']))"
        )
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False
        ).returncode

    assert [lint(), lint()] == [0, 0]
    (tmp_path / "words_beside.py").write_text("MOST = 3\n")
    assert lint() == 1


def test_results_that_hang_on_the_search_for_modules_are_not_kept(work, monkeypatch):
    change(work / "spell.toml", '["spell_env.py"]', '["spell_words"]')
    assert [code for code, *_ in found()] == ["PLM506"]
    monkeypatch.syspath_prepend(str(work))
    (work / "spell_env.py").rename(work / "spell_words.py")
    assert found() == []


def test_a_broken_plugin_is_one_diagnostic(work, capsys):
    change(work / "spell_env.py", "class SpellEnv(Env):", "class SpellEnv(Envv):")
    assert run(["lint", "spell.toml", "--format", "json"]) == 1
    (one,) = json.loads(capsys.readouterr().out)
    text = (work / "spell_env.py").read_text().splitlines()
    assert (one["code"], one["file"]) == ("PLM506", "spell_env.py")
    assert one["line"] == 1 + text.index("class SpellEnv(Envv):")


def test_output_stays_readable_where_plugins_print(work, capsys):
    with (work / "spell_env.py").open("a") as file:
        file.write("print('loaded')\n")
    assert run(["lint", "spell.toml", "--format", "json", "--no-cache"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_options_that_fail_in_their_own_way_are_a_finding(work):
    broken = (
        '    """Letters of a word."""\n\n'
        "    def model_post_init(self, context):\n        raise KeyError('odd')\n"
    )
    change(work / "spell_env.py", '    """Letters of a word."""\n', broken)
    (one,) = check_experiment(Path("spell.toml")).diagnostics
    assert one.code == "PLM503"
    assert one.message.startswith("the options of spell_env fail: KeyError: 'odd' (spell_env.py:")


def test_options_may_be_of_any_type_and_checked_in_any_way(work):
    odd = (
        '    """Letters of a word."""\n'
        "    place: tuple[int, int] = (0, 0)\n"
        "    word: str = Field('a', pattern='a+')\n"
        "    @field_validator('letters')\n    @classmethod\n    def even(cls, value):\n"
        "        if value % 2:\n            raise ValueError('letters come in pairs')\n        return value\n"
    )
    change(work / "spell_env.py", '    """Letters of a word."""\n', odd)
    change(work / "spell_env.py", "import Field", "import Field, field_validator")
    change(work / "spell.toml", "letters = 4", 'letters = 5, place = ["a"], word = "b"')
    assert [one.message for one in check_experiment(Path("spell.toml")).diagnostics] == [
        "env.options.letters = 5 is refused: letters come in pairs",
        'env.options.place = ["a"] must be a valid tuple',
        "env.options.word = \"b\" must match pattern 'a+'",
    ]


@pytest.mark.parametrize(
    "verb",
    [["show", "spell.toml"], ["show", "spell.toml", "--resolved"], ["explain", "spell.toml", "env.name"]],
)
def test_to_look_into_an_experiment_runs_no_plugin(verb, work):
    with (work / "spell_env.py").open("a") as file:
        file.write("raise SystemExit('it was run')\n")
    assert run(verb) == 0
    assert run(["lint", "spell.toml"]) == 1


def test_linting_with_a_plugin_loads_no_heavy_module(work):
    code = (
        "import sys; from pettingllms.cli.app import run; run(['lint', 'spell.toml']);"
        "assert any(name.startswith('pettingllms_plugin_') for name in sys.modules);"
        "print(sorted({'torch', 'vllm', 'transformers', 'optuna', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_agents_play_what_derives_from_their_environment(work):
    derived = "\n\nclass Longer(SpellEnv):\n    pass\n\n\nENV_CLASS_MAPPING['longer_env'] = Longer\n"
    with (work / "spell_env.py").open("a") as file:
        file.write(derived)
    assert check_experiment(Path("spell.toml"), ["env.name=longer_env"]).diagnostics == ()
    (one,) = check_experiment(
        Path("spell.toml"), ["env.name=math_env", "env.options:={}", "env.dataset=builtin:arithmetic"]
    ).diagnostics
    assert one.code == "PLM505"
    assert one.message == "the agent class 'spell_writer' is made for spell_env, and env.name is 'math_env'"


def test_the_registries_are_those_of_the_last_file(work):
    check_experiment(Path("spell.toml"))
    assert "spell_env" in ENVS

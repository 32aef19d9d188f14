"""Scripts read without running them, with a real shell as the oracle of what words they become."""

import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.foreign.expand import Variables
from pettingllms.foreign.shell import read_commands
from pettingllms.foreign.shell_words import ScriptError

BASH = shutil.which("bash")


def words(script, command="show"):
    """The words of the last `show` command."""
    variables, found = Variables(), None
    for one in read_commands(script):
        fields = [field for word in one.words for field in variables.fields(word)]
        if fields and fields[0].text == command:
            found = [field.unknown.why if field.unknown else field.text for field in fields[1:]]
        else:
            variables.execute(one)
    return found


def shell_words(script):
    command = [BASH, "-c", 'show() { [ $# = 0 ] || printf "%s\\0" "$@"; }\n' + script]
    done = subprocess.run(command, capture_output=True, check=False, env={"PATH": "/nonexistent"})
    return done.stdout.decode().split("\0")[:-1] if done.returncode == 0 else None


PLAIN = ["a", "b=c", "x.y", " ", "'s t'", '"u  v"', "\\ ", "\\$", "\\\n", "''", '""', "#", "\\\\", "$'h\\ni'"]
EXPANDED = [
    '"$A"',
    "${A}",
    "${B}",
    '"${B:-d e}"',
    "${C:-f}",
    "${A:+g}",
    "'$A'",
    '"\\$-"',
    "${A%b}",
    "${A##*a}",
]
values = st.lists(st.sampled_from([*PLAIN, *EXPANDED, "${A##*a}", "$((2 * 3 + 1))"]), max_size=5).map("".join)
BEFORE = "A='m  ab'\nB=\nC=c\n"


@pytest.mark.skipif(BASH is None, reason="no bash to compare with")
@given(values, values, st.lists(values, max_size=3))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_words_are_what_the_shell_makes(first, second, rest):
    script = BEFORE + f'A={first.replace(" ", "")}\nB="{second.replace(chr(34), chr(39))}"\n'
    script += f'L=( {rest[0] if rest else ""} q )\nshow {" ".join(rest)} $B "${{L[@]}}" ${{L[@]}}\n'
    expected = shell_words(script)
    if expected is None:
        return
    found = words(script)
    # A value that holds `${` may stand for something else later: nothing is cut off from it.
    refused = any("is not known before the script runs" in word for word in found)
    if not refused:
        assert found == expected, script


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("A=1; A=2\nshow $A", ["2"]),
        ("A='x y'\nshow $A \"$A\" '$A' $A.z", ["x", "y", "x y", "$A", "x", "y.z"]),
        ("show a \\\n  b # c\nd", ["a", "b"]),
        ("show a\\\nb", ["ab"]),
        ("show $HOME/x ${N:-5} ${M:-'a b'}", ["${oc.env:HOME}/x", "${oc.env:N,5}", "${oc.env:M,'a b'}"]),
        ("A=${A:-8}\nB=$A\nshow ${B} $((A / 2))", ["${oc.env:A,8}", "4"]),
        ("A=~/m\nshow $A ~/m", ["${oc.env:HOME}/m", "~/m"]),
        ("A=a\nA+=b\nL=(1)\nL+=(2 3)\nshow $A ${L[@]} ${L[1]}", ["ab", "1", "2", "3", "2"]),
        ("export A=1 B='2 3'\nshow $A \"$B\"", ["1", "2 3"]),
        ("A=p/q.json\nshow ${A##*/} ${A%.*}", ["q.json", "p/q"]),
        (": ${A:=5}\nshow $A", ["${oc.env:A,5}"]),
        ("cat <<EOF\nshow 'unclosed\nEOF\nshow a", ["a"]),
        ("if true; then A=1; fi\nshow x$A", ["A is assigned under a condition"]),
        ("for A in 1 2; do\nshow $A\ndone", ["A: a loop gives it its values"]),
        ("A=$(date)\nshow a=$A", ["$(date) is not run"]),
        ("show `ls`", ["$(ls) is not run"]),
        (
            "show $((X + 1)) $((1 / 0))",
            ["$((X + 1)): X is not assigned in the script", "$((1 / 0)): it divides by zero"],
        ),
        (
            'show "$@" $1 ${2:-d}',
            ["$@ is given when the script is started", "$1 is given when the script is started", "d"],
        ),
        ("case $1 in a) A=1;; *) A=2;; esac\nshow k=$A", ["A is assigned under a condition"]),
        ("show 'k=choice(1,2)' k=choice(1, 2)", ["k=choice(1,2)", "k=choice(1, 2)"]),
        ("show ${X,,}", ["${X,,} is not understood"]),
        ("A=1\r\nshow $A\r\n", ["1"]),
    ],
)
def test_words_of_a_script(script, expected):
    assert words(script) == expected


@pytest.mark.parametrize(
    ("script", "message", "line"),
    [
        ("a\nshow 'x", "a single quote is not closed", 2),
        ('show "x\n\n', "a double quote is not closed", 1),
        ("A=(1 2\n", "is not closed", 1),
        ("\n\nshow ${A\n", "{ is not closed", 3),
        ("show $(a", "( is not closed", 1),
        ("show $'a", "not closed", 1),
        ("show " + "$(" * 5000, "nested too deeply", 1),
    ],
)
def test_a_text_that_is_no_script_is_refused_at_its_line(script, message, line):
    with pytest.raises(ScriptError, match=re.escape(message)) as caught:
        words(script)
    assert caught.value.line == line


def test_defaults_inside_defaults_end():
    with pytest.raises(ScriptError, match="too deeply"):
        words("show " + "${A:-" * 60 + "x" + "}" * 60)
    assert words("show " + "${A:-" * 3 + "x" + "}" * 3) == ["${oc.env:A,${oc.env:A,${oc.env:A,x}}}"]


def test_variables_do_not_grow_without_bound():
    script = "A=aaaaaaaaaaaaaaaa\n" + "A=$A$A$A$A\n" * 30 + "show $A"
    assert words(script) == ["a variable holds more than 100000 characters"]

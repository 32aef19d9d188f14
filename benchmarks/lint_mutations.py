"""Shipped presets with one fault each through `lint`: what is found, at the right line, by the right rule.

A mutant's finding is one that its preset does not have: an error, or what an expected rule says. The line is
right where an expected rule reports a place that is right for it; without such a finding, where any does.

Usage: python -m benchmarks.lint_mutations [--verbose] [--kind WORDS] [--seed S] [--keep FOLDER]
"""

import argparse
import itertools
import json
import random
import re
import sys
import tempfile
from collections import Counter, namedtuple
from pathlib import Path

from benchmarks.mutation_kinds import EVERYWHERE, FAMILIES, HERE, MODEL, misspelt
from pettingllms.compose.tree import get
from pettingllms.config.fields import FREELY_NAMED
from pettingllms.config.presets import fragment_files, preset_files
from pettingllms.documents.convert import convert
from pettingllms.documents.read import parse_document, read_document
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.engine import check_experiment

AGENTS = "agent_policy_configs.agent_configs"
REQUIRED = f"""
env base_models agent_policy_configs multi_agent_interaction env.name env.dataset base_models.*.path
base_models.*.name multi_agent_interaction.turn_order agent_policy_configs.num_agents
{AGENTS} {AGENTS}.*.name {AGENTS}.*.policy_name
""".split()
# Mutants that each preset gives at most; two of the other kinds.
COUNTS = {
    **dict.fromkeys(["typo in a key", "wrong type", "value out of range"], 5),
    **dict.fromkeys(["key in the wrong section", "duplicate key", "required key removed"], 4),
    **dict.fromkeys(["dangling reference", "misspelt choice", "null where none may be"], 3),
    **dict.fromkeys(["unclosed quote or bracket", "malformed expression", "batch that is not divided"], 3),
}
AS_OVERRIDES = (
    *("value out of range", "misspelt choice", "dangling reference", "unknown environment"),
    *("wrong num_agents", "unknown policy", "model that is not there"),
)
NO_OVERRIDES = ("training.seed", "env=code", "training.seed+=[5]", "training=5")
MOUNT = ("models", "model_0", "ppo_trainer_config")
# What the presets set themselves, so that a fault of the fragment is none.
OVERRIDDEN = [("data", f"max_{name}_length") for name in ("prompt", "response")]
OVERRIDDEN += [("actor_rollout_ref", "rollout", f"{name}_length") for name in ("prompt", "response")]
COMMAND_LINE = "<command line>"
SETTINGS = """{"model_type": "qwen2", "num_attention_heads": 14, "num_key_value_heads": 2, "hidden_size": 896,
"num_hidden_layers": 24, "intermediate_size": 4864, "vocab_size": 151936, "max_position_embeddings": 32768}"""
MARK = re.compile("\x02([^\x03]*)\x03")
PLACES = re.compile(r":\d+\b|; the value came from .*|; included from .*| \(in \d+ of \d+ cells.*")

# Text from `start` to before `end` is replaced; `what` says so in short.
Edit = namedtuple("Edit", "start end text what", defaults=("",))
# One way to break a text; `base`: the edits that make the right text, from which it is one step away.
Fault = namedtuple("Fault", "kind codes text edits base")
# Files with one fault and without it, the main one first; `expected`: (file, line) by rule, line 0 is any.
Mutant = namedtuple("Mutant", "kind form name before files overrides expected")
# What the linter made of a mutant; `findings`: those that the unmutated preset does not have.
Verdict = namedtuple("Verdict", "number mutant found line rule findings")


def parts(path):
    """A key path, which may be written with dots."""
    return path if isinstance(path, tuple) else tuple(int(p) if p.isdigit() else p for p in path.split("."))


class Host:
    """A text with the positions of its keys, and the edits that may be made; `mount`: where its root lies."""

    def __init__(self, text, yaml=False, mount=(), hidden=()):
        document = parse_document(text, Path("x.yaml" if yaml else "x.toml"))
        self.text, self.yaml, self.mount = text, yaml, mount
        self.spans, self.data = document.spans, document.data
        self.null = "null" if yaml else "{ null = true }"
        self.starts = [0, *(found.end() for found in re.finditer("\n", text))]
        words = [path for path in self.spans if not {"defaults", "options"} & {*path[:-1]}]
        words = [path for path in words if isinstance(path[-1], str)]
        # Paths whose last key is one of the schema, and those of them that hold a value.
        self.named = [path for path in words if self.full(path)[:-1] not in FREELY_NAMED]
        kept = [path for path in self.named if path not in (*hidden, ("format",), ("defaults",))]
        kept = [path for path in kept if not isinstance(self.get(path), dict)]
        self.leaves = sorted(kept, key=lambda path: self.spans[path][0].line)
        self.headers = [path for path in self.named if self.written(path) == f"[{'.'.join(path)}]"]

    def __contains__(self, path):
        return parts(path) in self.spans

    def get(self, path):
        return get(self.data, parts(path))

    def full(self, path):
        return (*self.mount, *path)

    def requires(self, path):
        starred = ("*" if parts(path)[:at] in FREELY_NAMED else part for at, part in enumerate(parts(path)))
        return not self.mount and ".".join(map(str, starred)) in REQUIRED

    def references(self, path):
        return [other for other in self.leaves if f"{{{'.'.join(path)}}}" in str(self.get(other))]

    def stretch(self, path, which=1):
        """Start and end of the key (0) or the value (1) at `path`."""
        span = self.spans[parts(path)][which]
        ends = (span.line, span.column), (span.end_line, span.end_column)
        return [self.starts[line - 1] + column - 1 for line, column in ends]

    def is_dotted(self, path):
        return self.text[self.stretch(path, 0)[0] - 1 :][:1] == "."

    def written(self, path):
        return self.text[slice(*self.stretch(path))]

    def line(self, key, written):
        return f"{key}{': ' if self.yaml else ' = '}{written}"

    def put(self, path, written, mark=""):
        what = f"{'.'.join(map(str, parts(path)))} = {written}"
        return Edit(*self.stretch(path), mark + written, what)

    def bad(self, path, written):
        return self.put(path, written, "" if HERE in written else HERE)

    def rename(self, path, key):
        spelt = key if self.yaml or re.fullmatch(r"[\w-]+", key) else json.dumps(key)
        return Edit(*self.stretch(path, 0), HERE + spelt, f"{'.'.join(map(str, path))} -> {key}")

    def rewrite(self, path, line):
        start, end = self.stretch(path, 0)[0], self.stretch(path)[1]
        start = self.starts[self.spans[path][0].line - 1] if line.startswith("\t") else start
        return Edit(start, end, HERE + line, line)

    def mark(self, path, code="", which=1):
        """A place that is right for `code`: at a value, at a key (0), or at the top for no path."""
        start = self.stretch(path, which)[0] if path else 0
        return Edit(start, start, f"\x02{code}\x03")

    def after(self, path, key, written):
        """A new key below the one at `path`, in the same section."""
        key_span, value_span = self.spans[parts(path)]
        at, line = self.starts[value_span.end_line], self.line(key, written)
        indent = " " * (key_span.column - 1) * self.yaml
        return Edit(at, at, f"{indent}{HERE}{line}\n", f"below {'.'.join(parts(path))}: {line}")

    def cut(self, path, section=False):
        key_span, value_span = self.spans[parts(path)]
        start, end = self.starts[key_span.line - 1], self.starts[value_span.end_line]
        if section and not self.yaml:
            end = re.compile(r"^\[|\Z", re.MULTILINE).search(self.text, end).start()
        return Edit(start, end, "", f"without {'.'.join(parts(path))}")

    def append(self, section, key, written, mark=HERE):
        header, line = f"{section}:\n  " if self.yaml else f"[{section}]\n", self.line(key, written)
        return Edit(len(self.text), len(self.text), f"\n{mark}{header}{line}\n", f"[{section}] {line}")

    def table(self, **items):
        inside = ", ".join(self.line(key, text) for key, text in items.items())
        return f"{{{inside}}}" if self.yaml else f"{{ {inside} }}"

    def listed(self, items, tall=False):
        inside = "\n" + " " * 12
        return f"[{inside}{f',{inside}'.join(items)}{inside}]" if tall else f"[{', '.join(items)}]"

    def choice(self, tried, default, tall=False, **more):
        return self.table(sweep='"choice"', values=self.listed(tried, tall), default=default, **more)

    def interval(self, low, default, high, step, **more):
        items = {"low": low, "high": high, "step": step, "default": default, **more}
        name = '"int"' if low.isdigit() else '"float"'
        return self.table(sweep=name, **{key: text for key, text in items.items() if text})

    def fault(self, kind, codes, *edits, base=()):
        return Fault(kind, codes, self.text, edits, base)


def by_kind(host, rng, families):
    kinds = {}
    for fault in itertools.chain.from_iterable(family(host, rng) for family in families):
        kinds.setdefault(fault.kind, []).append(fault)
    return kinds


def edited(text, edits):
    for edit in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def mutant_of(fault, form, name, file, main=()):
    """The mutant whose `file` has the fault; `main`: the file that includes it, if that is another."""
    faulty, expected = edited(fault.text, fault.edits), {}
    for mark in MARK.finditer(faulty):
        place = (file, faulty.count("\n", 0, mark.start()) + 1)
        for code in mark[1].split() or fault.codes.split():
            expected.setdefault(code, set()).add(place)
    texts = (MARK.sub("", text) for text in (edited(fault.text, fault.base), faulty))
    before, files = ((*main, (file, text), *(() if main else [fragment(False)])) for text in texts)
    what = MARK.sub("", " ".join(fault.edits[0].what.split()))
    return Mutant(fault.kind, form, f"{name}: {what[:90]}", before, files, (), expected)


def overridden(name, files, host, rng, turn):
    """Faults of the command line: those that set one key, and words that are no override."""
    path = ".".join(rng.choice([path for path in host.leaves if len(path) == 2]))
    unknown = rng.choice(["{}=1", "{}=1", "~{}"]).format(misspelt(rng, path))
    words = [("unknown key in an override", "PLM009 PLM003", unknown)]
    words.append(("override that cannot be applied", "PLM009", rng.choice(NO_OVERRIDES)))
    kinds = by_kind(host, rng, FAMILIES)
    for kind in AS_OVERRIDES[turn % 2 :: 2]:
        fault = rng.choice([one for one in kinds[kind] if not re.search(r"\.\d|\[", one.edits[0].what)])
        key, written = fault.edits[0].what.split(" = ", 1)
        value = json.loads(written) if written.startswith('"') else written
        words.append((kind, fault.codes, f"{key}={value}"))
    for kind, codes, word in words:
        expected = {code: {(COMMAND_LINE, 0)} for code in codes.split()}
        yield Mutant(kind, "override", f"{name} -s {word}", files, files, (word,), expected)


def fragment(yaml):
    """Name and text of the fragment that the presets include."""
    path = fragment_files()["eval"]
    text = convert(read_document(path), "yaml").text if yaml else path.read_text(encoding="utf-8")
    return f"ppo_trainer/eval{'.yaml' if yaml else '.toml'}", text


def generate(seed=0):
    """All mutants; the same for the same seed and presets."""
    mutants, included = [], [fragment(False), fragment(True)]
    for turn, (name, path) in enumerate(preset_files().items()):
        toml, file = path.read_text(encoding="utf-8"), f"{path.parent.name}/{name}"
        hosts = {"toml": Host(toml), "yaml": Host(convert(read_document(path), "yaml").text, yaml=True)}
        for form, host in hosts.items():
            rng = random.Random(f"{seed} {form} {name}")
            for number, (kind, faults) in enumerate(by_kind(host, rng, FAMILIES).items()):
                count = COUNTS.get(kind, 2) if form == "toml" else int((number + turn) % 3 == 0)
                some = rng.sample(faults, min(count, len(faults)))
                mutants += [mutant_of(one, form, f"{name}.{form}", f"{file}.{form}") for one in some]
        rng, (part, text) = random.Random(f"{seed} included {name}"), included[turn % 2]
        kinds = by_kind(Host(text, bool(turn % 2), MOUNT, OVERRIDDEN), rng, EVERYWHERE)
        for faults in list(kinds.values())[turn % 4 :: 4]:
            main = [(f"{file}.toml", toml)]
            mutants.append(mutant_of(rng.choice(faults), "included", f"{part} in {name}", part, main))
        rng, files = random.Random(f"{seed} override {name}"), ((f"{file}.toml", toml), included[0])
        mutants += overridden(f"{name}.toml", files, hosts["toml"], rng, turn)
    return mutants


def sample(mutants, count, seed=0):
    """`count` of the mutants, as many of each kind as there are."""
    rng, kinds = random.Random(seed), {}
    for mutant in mutants:
        kinds.setdefault(mutant.kind, []).append(mutant)
    rounds = itertools.zip_longest(*(rng.sample(group, len(group)) for group in kinds.values()))
    return [mutant for mutant in itertools.chain.from_iterable(rounds) if mutant is not None][:count]


def findings(folder, files, overrides):
    """What is found in the first of `files`: (code, severity, file, line, what does not depend on places)."""
    found, model = [], (folder.parent / "model").as_posix()
    for name, text in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace(MODEL, model), encoding="utf-8")
    for one in check_experiment(folder / files[0][0], overrides).diagnostics:
        file = one.file
        if file != COMMAND_LINE:
            file = Path(file).resolve().relative_to(folder.resolve()).as_posix()
        # A refused key is refused with every value.
        words = (
            one.path if one.code == "PLM007" else PLACES.sub("", one.message.replace(f"{folder.parent}/", ""))
        )
        found.append((one.code, one.severity, file, one.line, words))
    return found


def judge(mutants, root):
    """Write each mutant into a folder of its own below `root`, check it, and compare."""
    (root / "model").mkdir(parents=True)
    (root / "model/config.json").write_text(SETTINGS)
    known = {}
    for number, mutant in enumerate(mutants):
        if mutant.before not in known:
            there = findings(root / f"unmutated-{len(known)}", mutant.before, ())
            known[mutant.before] = {(code, words) for code, *_, words in there}
        found = findings(root / f"{number:04}", mutant.files, mutant.overrides)
        new = [one for one in found if (one[0], one[4]) not in known[mutant.before]]
        right = [one for one in new if one[0] in mutant.expected]
        counted = [one for one in new if one[1] is Severity.ERROR or one in right]
        anywhere = set().union(*mutant.expected.values())
        line = any(
            {(file, line), (file, 0)} & mutant.expected.get(code, set() if right else anywhere)
            for code, _, file, line, _ in counted
        )
        yield Verdict(number, mutant, bool(counted), line, bool(right), counted)


def shares(verdicts):
    """How many there are, were found, at the right line, and by the right rule."""
    return len(verdicts), *(sum(getattr(one, name) for one in verdicts) for name in ("found", "line", "rule"))


def described(verdict):
    places = [(code, *place) for code, places in verdict.mutant.expected.items() for place in sorted(places)]
    expected = ", ".join(f"{code} {file}:{line}" for code, file, line in places)
    found = "; ".join(f"{code} {file}:{line} {words}" for code, _, file, line, words in verdict.findings)
    head = f"#{verdict.number:04} {verdict.mutant.kind} | {verdict.mutant.name}"
    return f"{head} | expected {expected} | found {found or 'nothing'}"


def report(verdicts):
    for field in ("kind", "form"):
        print(f"{field:36}{'mutants':>8}{'found':>8}{'line':>8}{'rule':>8}")
        for group in dict.fromkeys(getattr(one.mutant, field) for one in verdicts):
            numbers = shares([one for one in verdicts if getattr(one.mutant, field) == group])
            print(f"{group:36}" + "".join(f"{number:8}" for number in numbers))
        print()
    total, *numbers = shares(verdicts)
    for name, number in zip(("found", "right line", "right rule"), numbers, strict=True):
        print(f"{name}: {number} of {total}, {100 * number / total:.1f} %")
    alone = sum(
        all(f[0] in one.mutant.expected for f in one.findings if f[1] is Severity.ERROR) for one in verdicts
    )
    print(f"no other error beside it: {alone} of {total}, {100 * alone / total:.1f} %")
    missed = [one for one in verdicts if not (one.found and one.line and one.rule)]
    print(f"\nmissed: {len(missed)}", *map(described, missed), sep="\n")
    print("\non the unmutated presets, with the number of findings:")
    reports = [check_experiment(path) for path in preset_files().values()]
    left = Counter((one.code, one.message) for report in reports for one in report.diagnostics)
    print(*(f"{count:3} {code} {words}" for (code, words), count in sorted(left.items())), sep="\n")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="lint_mutations", description=__doc__.splitlines()[0])
    parser.add_argument("--verbose", action="store_true", help="print every mutant")
    parser.add_argument("--kind", default="", help="only kinds whose name holds these words")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="write the mutants there, and leave them")
    options = parser.parse_args(arguments)
    mutants = [mutant for mutant in generate(options.seed) if options.kind in mutant.kind]
    with tempfile.TemporaryDirectory() as folder:
        verdicts = list(judge(mutants, options.keep or Path(folder)))
    if options.verbose:
        print(*map(described, verdicts), "", sep="\n")
    report(verdicts)
    total, found, line, rule = shares(verdicts)
    return int(found < 0.99 * total or line < 0.99 * total or rule < 0.95 * total)


if __name__ == "__main__":
    sys.exit(main())

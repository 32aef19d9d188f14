"""Faults that people make in experiment files: a function a family yields every way to make them in a text.

A function is given a `Host` of `benchmarks.lint_mutations` and a random generator. A fault may be reported
where its edits put a mark: `HERE`, or the mark of one rule.
"""

import itertools
import json
import re

from pettingllms.config.fields import ExperimentSchema, alternatives, annotation_at, known_keys

HERE = "\x02\x03"
MODEL = "@MODEL@"  # a folder with a model of 14 heads and 32768 positions
SCHEMA = ExperimentSchema()
AGENTS, COUNT = "agent_policy_configs.agent_configs", "agent_policy_configs.num_agents"
ORDER, INTERACTING = "multi_agent_interaction.turn_order", "multi_agent_interaction.num_interacting_agents"
TURNS, POLICIES = "env.max_turns", "agent_policy_configs.policy_list"
BATCH, SAMPLES, VALIDATION = "training.train_batch_size", "training.train_sample_num", "training.val_freq"
PATHS, NAMES = ([f"base_models.policy_{number}.{key}" for number in range(2)] for key in ("path", "name"))
LENGTHS = ("training.max_prompt_length", "training.max_response_length")
ppo = "models.{}.ppo_trainer_config".format
PPO = ppo("model_0")
ROLLOUT, ACTOR = "actor_rollout_ref.rollout", "actor_rollout_ref.actor"
# A key, and a key of the section that it is put into.
MOVES = f"""
{TURNS}>{VALIDATION} {BATCH}>env.benchmark {VALIDATION}>{TURNS} {INTERACTING}>{COUNT} {ORDER}>{COUNT}
env.benchmark>training.seed env.resolve>{ORDER} {POLICIES}>{ORDER} training.seed>specialization
training.device>resource.nnodes training.total_training_steps>resource.nnodes
resource.trust_remote_code>training.device {PPO}.filter_ratio>{PPO}.data.max_prompt_length
{PPO}.{ROLLOUT}.temperature>{PPO}.data.max_prompt_length {ACTOR}.optim.lr>{ACTOR}.grad_clip
{ROLLOUT}.gpu_memory_utilization>{ACTOR}.grad_clip {ROLLOUT}.max_num_seqs>algorithm.adv_estimator
{ACTOR}.clip_ratio_high>{ACTOR}.optim.lr
""".split()
WRONG = {
    "integer": ('"many"', "[8]", "true", "8.5", "{}"),
    "number": ('"high"', "true", "[0.5]"),
    "boolean": ('"on"', "1", "[true]"),
    "list": ('"console"', "3", "true"),
    "text": ("5", "true", '["x"]', "0.5"),
}
# Values outside the range, and their keys.
OUTSIDE = [
    ("0 -4", "train_batch_size train_sample_num validate_sample_num total_training_steps val_freq max_turns"),
    ("0 -4", "resample_freq epoch_size max_prompt_length max_response_length prompt_length response_length"),
    ("0 -4", "tensor_model_parallel_size num_agents num_interacting_agents nnodes max_num_seqs lora_rank"),
    ("0 -0.5", "sample_temperature temperature lora_alpha lr grad_clip"),
    ("-1", "seed n_gpus_per_node n_training_gpus_per_node weight_decay"),
    ("0 1.5 -0.2", "clip_ratio clip_ratio_low gpu_memory_utilization"),
    *(("1.5 -0.1", "filter_ratio"), ("[]", "turn_order"), ("0", "ppo_max_token_len_per_gpu")),
]
# A key, and words that are none of its choices.
CHOICES = ["specialization loar Lora adapter", "device gpu cuad CUDA", "filter_method maen avg medain"]
# A key, three values that may be tried, the step between the first two, and one value that may not be.
AXES = f"""
{SAMPLES} 4 8 16 4 0
{BATCH} 32 64 128 32 -8
training.total_training_steps 100 200 400 100 0
{VALIDATION} 5 10 20 5 0
training.validate_sample_num 1 2 4 1 0
training.sample_temperature 0.75 1.0 1.25 0.25 -0.5
lora_rank 8 16 32 8 0
{PPO}.filter_ratio 0.25 0.5 0.75 0.25 1.5
{ACTOR}.optim.lr 2e-6 4e-6 6e-6 2e-6 -1e-6
{ACTOR}.clip_ratio 0.125 0.25 0.375 0.125 1.5
{ROLLOUT}.gpu_memory_utilization 0.5 0.625 0.75 0.125 1.2
{ROLLOUT}.max_num_seqs 16 32 48 16 0
""".strip().split("\n")
# A kind, its rule, and expressions.
EXPRESSIONS = """
condition that never holds|PLM411|env.max_turns > 1000|specialization == 'prompt'|training.seed > 5
malformed expression|PLM409|env.max_turns >|env.max_turns = 4|(env.max_turns >= 1|env.max_turns => 1
malformed expression|PLM409|env.max_turns >= 1 && lora_rank > 4|len(training.logger) > 1|import os
unknown path in an expression|PLM410|training.sede >= 0|env.max_trns > 1|trainig.seed >= 0|seed >= 0
""".strip().split("\n")
OTHER = '"Qwen/Qwen3-4B"'
ABSENT = ("/models/qwen-finetuned", "./no/such/model", "/path/to/model", "your base model", "builtin:smollm2")


def misspelt(rng, word, taken=()):
    """`word` with two letters swapped, one left out or one doubled; none of `taken`."""
    while True:
        at = rng.randrange(1, len(word))
        swapped = word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]
        wrong = rng.choice([swapped, word[:at] + word[at + 1 :], word[:at] + word[at - 1 :]])
        if wrong != word and wrong not in taken:
            return wrong


def keys(h, rng):
    for path in h.named:
        missing = [h.mark("", "PLM004")] if h.requires(path) else []
        if missing and len(path) > 1:
            missing = [h.mark(path[:-1], "PLM004", 0), h.mark(path, "PLM004", 0)]
        wrong = misspelt(rng, path[-1], known_keys(h.full(path[:-1])))
        yield h.fault("typo in a key", "PLM003", h.rename(path, wrong), *missing)
    for path, target in (move.split(">") for move in MOVES):
        if path in h and target in h:
            missing = [h.mark(path.rpartition(".")[0], "PLM004", 0)] if h.requires(path) else []
            moved = h.after(target, path.split(".")[-1], h.written(path))
            yield h.fault("key in the wrong section", "PLM003", moved, h.cut(path), *missing)
    for path in h.leaves:
        siblings = [other for other in h.leaves if other[:-1] == path[:-1] and not h.is_dotted(other)]
        if not h.is_dotted(path):
            again = h.after(rng.choice([path, siblings[-1]]), path[-1], h.written(path))
            yield h.fault("duplicate key", "PLM001", again, h.mark(path, which=0))
        if h.requires(path):
            places = [h.mark(path[:-1], "PLM004", 0), *(h.mark(p, "PLM201") for p in h.references(path))]
            yield h.fault("required key removed", "", h.cut(path), *places)


def sections(h, _rng):
    for section in ("env", "multi_agent_interaction"):
        yield h.fault("required key removed", "", h.cut(section, section=True), h.mark("", "PLM004"))
    for section, key in [("training", "save_freq"), ("env", "turn_unit"), ("resource", "nnodes")]:
        yield h.fault("duplicate key", "PLM001", h.append(section, key, "1"), h.mark(section, which=0))
    if f"{AGENTS}.agent_1" in h:
        name = h.get(f"{AGENTS}.agent_1.name")
        listed, turn = (f"{names}.{h.get(names).index(name)}" for names in (POLICIES, ORDER))
        left = [h.mark(COUNT, "PLM102"), h.mark(listed, "PLM110"), h.mark(turn, "PLM101")]
        yield h.fault("agent removed", "", h.cut(f"{AGENTS}.agent_1", section=True), *left)


def values(h, rng):
    outside = {key: written.split() for written, keys in OUTSIDE for key in keys.split()}
    choices = {key: words for key, *words in map(str.split, [*CHOICES, "adv_estimator grop ppo"])}
    for path in h.leaves:
        value, types = h.get(path), SCHEMA.kinds(h.full(path))
        for written in WRONG[next(name for name in WRONG if name in types)]:
            yield h.fault("wrong type", "PLM005", h.bad(path, written))
        name = h.requires(path) and path[-1] == "name" and path[0] != "env"
        for written in ('""',) if name else outside.get(path[-1], ()):
            yield h.fault("value out of range", "PLM006", h.bad(path, written))
        for word in ("vlm",) if path[-2:] == ("rollout", "name") else choices.get(path[-1], ()):
            yield h.fault("misspelt choice", "PLM006", h.bad(path, f'"{word}"'))
        for index, word in enumerate(value if path[-1] == "logger" else ()):
            yield h.fault("misspelt choice", "PLM006", h.bad((*path, index), f'"{misspelt(rng, word)}"'))
        if type(None) in alternatives(annotation_at(h.full(path))):
            # In YAML only a number shows that no null was written.
            nearly = ["nul"] * ("number" in types) if h.yaml else ["{ nul = true }", "{ null = false }"]
            for written in nearly:
                codes = "PLM008" if "false" in written else "PLM005" if h.yaml else "PLM401 PLM008 PLM005"
                yield h.fault("mistyped null", codes, h.bad(path, written))
        else:
            yield h.fault("null where none may be", "PLM005", h.bad(path, h.null))
        if type(value) in (int, float):
            yield h.fault("quoted number", "PLM005", h.bad(path, f'"{h.written(path)}"'))


def syntax(h, _rng):
    for path in h.leaves:
        key, value, text = path[-1], h.get(path), h.written(path)
        if isinstance(value, list):
            yield h.fault("unclosed quote or bracket", "PLM001", h.bad(path, text.rstrip("]")))
        elif isinstance(value, str) and "$" not in value:
            yield h.fault("unclosed quote or bracket", "PLM001", h.bad(path, '"' + text.strip('"')))
        lines = [f"{key}:{text}", f"\t{key}: {text}"] if h.yaml else [f"{key} {text}", f"{key}: {text}"]
        if not h.yaml and isinstance(value, (str, bool)):
            lines.append(f"{key} = {text.strip(chr(34)).title()}")
        for line in [] if h.is_dotted(path) or "$" in text else lines:
            yield h.fault("no key and value", "PLM001", h.rewrite(path, line))
    for path in h.headers:
        yield h.fault("unclosed quote or bracket", "PLM001", h.bad(path, h.written(path)[:-1]))


def references(h, rng):
    for path in h.leaves:
        value, number = str(h.get(path)), type(h.get(path)) in (int, float)
        for found in re.finditer(r"\$\{(\.*)([\w.]+)\}", value):
            parts = found[2].split(".")
            at = rng.randrange(len(parts))
            parts[at] = misspelt(rng, parts[at])
            wrong = value.replace(found[0], f"${{{found[1]}{'.'.join(parts)}}}")
            yield h.fault("dangling reference", "PLM201", h.bad(path, json.dumps(wrong)))
            yield h.fault("unclosed reference", "PLM203", h.bad(path, json.dumps(value[:-1])))
        whole = re.fullmatch(r"\$\{(\.?)([a-z]\w*(?:\.\w+)*)\}", value)
        if whole or number:
            target = (*path[:-1], whole[2]) if whole and whole[1] else whole[2] if whole else path
            back = f"${{.{path[-1]}}}" if h.mount else f"${{{'.'.join(path)}}}"
            circle = [h.bad(target, f'"{back}"'), *([h.mark(path)] if whole else [])]
            yield h.fault("reference cycle", "PLM202", *circle)
        if "${div:" in value:
            wrong = value.replace("div", rng.choice(["dvi", "divide", "quot"]))
            yield h.fault("unknown resolver", "PLM203", h.bad(path, f'"{wrong}"'))
        elif number or path[-1] == "path":
            name = rng.choice(["multiply", "mull", "eval"] if number else ["env", "oc.evn", "oc.environ"])
            wrong = f"${{{name}:{'2,4' if number else 'MODEL_PATH,Qwen/Qwen3-1.7B'}}}"
            yield h.fault("unknown resolver", "PLM203", h.bad(path, f'"{wrong}"'))
    for path in [path for path in h.spans if path[0] == "defaults" and len(path) == 3]:
        option, group = misspelt(rng, "eval"), misspelt(rng, "ppo_trainer")
        group = path[-1].replace("ppo_trainer", group, 1)
        for wrong in (h.bad(path, f'"{option}"'), h.rename(path, group)):
            yield h.fault("include that does not exist", "PLM211", wrong)


def names(h, rng):
    for index, name in enumerate(h.get(ORDER)):
        agent, listed = f"{AGENTS}.agent_{index}", f'"{misspelt(rng, h.get(POLICIES)[index])}"'
        yield h.fault("unknown agent in policy_list", "PLM110", h.bad(f"{POLICIES}.{index}", listed))
        for wrong in (misspelt(rng, name), f"agent_{index}"):
            yield h.fault("unknown agent in turn_order", "PLM101", h.bad(f"{ORDER}.{index}", f'"{wrong}"'))
        for wrong in (misspelt(rng, h.get(f"{agent}.policy_name")), f"policy_{index}"):
            yield h.fault("unknown policy", "PLM107", h.bad(f"{agent}.policy_name", f'"{wrong}"'))
        for wrong in (misspelt(rng, h.get(f"{agent}.name")), "math_agent"):
            added = h.after(f"{agent}.name", "agent", f'"{wrong}"')
            yield h.fault("unregistered agent class", "PLM112", added)
    name = h.get("env.name")
    for wrong in (misspelt(rng, name), name.removesuffix("_env"), name.replace("_", "-")):
        yield h.fault("unknown environment", "PLM111", h.bad("env.name", f'"{wrong}"'))
    for wrong in ABSENT:
        code = {"/path": "PLM204", "your ": "PLM204", "built": "PLM206"}.get(wrong[:5], "PLM205")
        yield h.fault("model that is not there", code, h.bad(PATHS[0], f'"{wrong}"'))
    for model in h.get("models"):
        policy = misspelt(rng, h.get(f"base_models.{model.replace('model', 'policy')}.name"))
        unmatched = h.bad(f"models.{model}.name", f'"{policy}"')
        yield h.fault("models entry of no base model", "PLM208", unmatched)
        for path in (f"models.{model}.path", f"{ppo(model)}.actor_rollout_ref.model.path"):
            base = [h.put(PATHS[1], OTHER)] if PATHS[1] in h else []
            wrong = f'"${{{PATHS[model == "model_0"]}}}"' if base else OTHER
            yield h.fault("reference to the wrong model", "PLM207", h.bad(path, wrong), *base, base=base)


def teams(h, _rng):
    count, turns, order = h.get(COUNT), h.get(TURNS), h.get(ORDER)
    for wrong in [str(count + 1), str(count + 5), *(["1"] if count == 2 else [])]:
        yield h.fault("wrong num_agents", "PLM102", h.bad(COUNT, wrong))
        yield h.fault("wrong num_interacting_agents", "PLM106", h.bad(INTERACTING, wrong), h.mark(ORDER))
    if count < 2:
        return
    yield h.fault("agent that never acts", "PLM104", h.bad(TURNS, "1"), h.mark(ORDER))
    late = json.dumps([order[0]] * turns + order[1:])
    yield h.fault("agent that never acts", "PLM104", h.bad(ORDER, late), h.mark(TURNS))
    yield h.fault("round that is cut short", "PLM105", h.bad(TURNS, str(turns + 1)))
    first, second = (f"{AGENTS}.agent_{number}.name" for number in range(2))
    yield h.fault("two agents of one name", "PLM109", h.bad(second, h.written(first)), h.mark(first))
    for one, two in [NAMES, NAMES[::-1]] if NAMES[1] in h else []:
        renamed, base = [h.bad(two, h.written(one)), h.mark(one)], [h.put(PATHS[1], OTHER)]
        yield h.fault("one name, two paths", "PLM108", *renamed, *base, base=base)


def resources(h, _rng):
    sizes = [f"{ppo(model)}.{ROLLOUT}.tensor_model_parallel_size" for model in h.get("models")]
    full = h.get("specialization") == "full"
    folders = [h.put(path, f'"{MODEL}"') for path in PATHS if path in h]
    for path in sizes:
        others = [other for other in sizes if other != path]
        # What one engine serves has one size: one is written, and the other refers to it.
        rest = [h.put(other, "2" if full else f'"${{{path}}}"') for other in others]
        for size in ("8", "16") if full else ("9", "16"):
            base = [*rest, h.put(path, "2")]
            yield h.fault("more GPUs than the engine has", "PLM301", h.bad(path, size), *rest, base=base)
        rest += folders
        for size in ("3", "4") if full else ("4", "8", "5"):
            base = [*rest, h.put(path, "2")]
            yield h.fault("heads that are not divided", "PLM310", h.bad(path, size), *rest, base=base)
        if others and not full:
            yield h.fault("two settings of one engine", "PLM308", h.bad(path, "4"), *map(h.mark, others))
    uneven = [(BATCH, "33", SAMPLES), (BATCH, "63", SAMPLES), (SAMPLES, "5", BATCH), (SAMPLES, "7", BATCH)]
    for path, size, other in uneven:
        edits, base = [h.bad(path, size), h.bad(other, "4")], [h.put(other, "4")]
        yield h.fault("batch that is not divided", "PLM311", *edits, base=base)
    gpus = h.bad("resource.n_gpus_per_node", "6"), h.mark(BATCH)
    yield h.fault("batch that is not divided", "PLM311", *gpus)
    for key in (*LENGTHS, f"{PPO}.{ROLLOUT}.prompt_length"):
        for length in ("32768", "100000"):
            yield h.fault("context too long", "PLM305", h.bad(key, length), *folders, base=folders)


def homes(h, _rng):
    for model in h.get("models"):
        rollout, trainer = f"{ppo(model)}.{ROLLOUT}", f"{ppo(model)}.trainer"
        for key in ("n_gpus_per_node", "n_training_gpus_per_node"):
            yield h.fault("GPU counts that disagree", "PLM302", h.bad(f"{trainer}.{key}", "4"))
        cooler = h.bad(f"{rollout}.temperature", "0.3"), h.mark("training.sample_temperature")
        shorter = h.bad(f"{rollout}.prompt_length", "16"), h.mark(f"{ppo(model)}.data.max_prompt_length")
        for edits in (cooler, shorter):
            yield h.fault("two homes that disagree", "PLM306", *edits)
    for key in ("lora_rank", "lora_alpha"):
        if key in h:
            yield h.fault("two homes that disagree", "PLM306", h.bad(f"training.{key}", "64"), h.mark(key))
    for key in ("env.dataset", "env.benchmark"):
        yield h.fault("unknown built-in dataset", "PLM502", h.bad(key, '"builtin:arithmatic"'))


def axes(h):
    return {path: values for path, *values in map(str.split, AXES) if path in h}


def sweeps(h, rng):
    for path, (low, middle, high, step, outside) in axes(h).items():
        tried, need, at = [low, middle, high], "axis without a key that it needs", rng.randrange(4)
        good, span = h.choice(tried, middle), h.interval(low, middle, high, step)
        worse, text = [*tried[:at], HERE + outside, *tried[at:]], rng.choice(['"big"', "true", "[8]"])
        kind, twice = span.split('"')[1], [low, f"{HERE}{high}", f"{HERE}{high}"]
        rows = [
            ("sweep value out of range", "PLM006", h.choice(worse, middle), good),
            ("sweep value out of range", "PLM006", h.choice(worse, middle, True), good),
            ("sweep value of a wrong type", "PLM005", h.choice([*tried, HERE + text], middle, True), good),
            ("misspelt kind of sweep", "PLM401", good.replace("choice", misspelt(rng, "choice")), good),
            ("misspelt kind of sweep", "PLM401", span.replace(kind, misspelt(rng, kind)), span),
            ("misspelt first key of an axis", "PLM401", good.replace("sweep", misspelt(rng, "sweep")), good),
            (need, "PLM401", h.table(sweep='"choice"', values=h.listed(tried)), good),
            (need, "PLM401", h.table(sweep='"choice"', default=middle), good),
            (need, "PLM401", good.replace("values", misspelt(rng, "values")), good),
            (need, "PLM401", h.interval(low, middle, "", step), span),
            (need, "PLM401", span.replace("high", misspelt(rng, "high")), span),
            ("default that is no choice", "PLM403", h.choice(tried[1:], HERE + low, True), good),
            ("choice that stands twice", "PLM402", h.choice(twice, low, True), good),
            ("default outside low and high", "PLM408", h.interval(middle, low, high, step), span),
            ("default outside low and high", "PLM408", h.interval(low, high, middle, step), span),
            ("low above high", "PLM405", h.interval(high, middle, low, step), span),
            ("float axis without points", "PLM407", h.interval(low, middle, high, ""), span),
            ("float axis without points", "PLM407", h.interval(low, middle, high, "", log="true"), span),
        ]
        for name, code, wrong, right in rows:
            if "float" not in name or kind == "float":
                yield h.fault(name, code, h.bad(path, wrong), base=[h.put(path, right)])


def expressions(h, rng):
    holds, few, pair = '"env.max_turns >= 1"', ["4", "8", "16"], {"zip": '"pair"'}
    rows = [row.split("|") for row in EXPRESSIONS]
    for path, (*tried, _, _) in axes(h).items():
        base = [h.put(path, h.choice(tried, tried[1], when=holds))]
        for (name, code, *wrongs), tall in itertools.product(rows, (False, True)):
            wrong = h.choice(tried, tried[1], tall, when=f'{HERE}"{rng.choice(wrongs)}"')
            yield h.fault(name, code, h.put(path, wrong), base=base)
        if path != SAMPLES:
            samples, bounds = h.put(SAMPLES, h.choice(few, "8")), (f'"{SAMPLES} > 8"', f'"{SAMPLES} > 16"')
            right, wrong = (h.choice(tried, tried[1], True, when=HERE + bound) for bound in bounds)
            base = [h.put(path, right), samples]
            yield h.fault("condition that never holds", "PLM411", h.put(path, wrong), samples, base=base)
            zipped, short = (h.choice(some, tried[1], **pair) for some in (tried, tried[:2]))
            other = h.choice(few, "8", **pair)
            base = [h.put(path, zipped), h.put(SAMPLES, other)]
            edits = h.bad(path, short), h.bad(SAMPLES, other)
            yield h.fault("zipped axes of two lengths", "PLM412", *edits, base=base)
    for name, code, wrong in ((name, code, wrong) for name, code, *wrongs in rows[1:] for wrong in wrongs):
        listed = h.listed([holds, f'{HERE}"{wrong}"'], rng.random() < 0.5)
        base = [h.append("sweep", "constraints", f"[{holds}]", "")]
        yield h.fault(name, code, h.append("sweep", "constraints", listed, ""), base=base)
    many, two = (h.choice([str(n) for n in range(1, end)], "2") for end in (71, 3))
    large = [h.bad("training.seed", many), h.bad(VALIDATION, many)]
    base = [h.put("training.seed", two), h.put(VALIDATION, two)]
    yield h.fault("grid too large", "PLM404", *large, base=base)


EVERYWHERE = (keys, values, syntax, references, sweeps)
"""Families that fit any text; the others need a whole experiment."""
FAMILIES = (*EVERYWHERE, sections, names, teams, resources, homes, expressions)

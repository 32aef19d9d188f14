"""What the fuzzer does to a text: functions of a random generator, the text, and another text."""

TOKENS = [
    *("${", "${.", "${..a}", "${oc.env:HOME}", "${oc.select:a,b}", "${oc.decode:'{", "${mul:a}", "\\${", "}"),
    *("{ sweep", '{ sweep = "choice", values = [1, 2], default = 1 }', "{ null = true }", "null = true"),
    *(
        "[[",
        "]]",
        "[",
        "]",
        "{",
        "}",
        '"""',
        "'''",
        '"',
        "'",
        "\\",
        "#",
        ",",
        "=",
        ":",
        ": ",
        "- ",
        "? ",
        "|",
        ">-",
    ),
    *(
        "&a ",
        "*a",
        "<<: *a",
        "<<: [*a, *b]",
        "!!str ",
        "!!python/object:os.system ",
        "!x ",
        "%YAML 1.1\n",
        "---\n",
    ),
    *(
        "\t",
        "\0",
        "\x07",
        "\x85",
        "\u2028",
        "\ufeff",
        "\r",
        "\r\n",
        "\n",
        "é",
        "配置",
        "\U0001f600",
        "~",
        "...",
    ),
    *(
        "null",
        "None",
        "yes",
        "off",
        "017",
        "0o17",
        "0x1F",
        "1_000",
        "1e-6",
        ".inf",
        "nan",
        "12:30:45",
        "2024-10-15",
    ),
    *("9" * 25, "9" * 5000, "1e999", "-0.0", "0.", "true", "???", "defaults", "_self_", "../ppo_trainer@a.b"),
    *("sweep", "format", "models", "# @package _global_\n", "# noqa", "#:schema x\n", "\ud7ff", " " * 300),
]
RAW = [
    b"\xff",
    b"\xfe\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"\0",
    b"\xef\xbb\xbf",
    b"\x1a",
]


def lines_of(data):
    return data.splitlines(keepends=True) or [b""]


def flip_bytes(rng, data, _other):
    changed = bytearray(data or b" ")
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def delete_bytes(rng, data, _other):
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.choice([1, 1, 2, 5, 40, 400]) :]


def delete_lines(rng, data, _other):
    lines = lines_of(data)
    start = rng.randrange(len(lines))
    del lines[start : start + rng.choice([1, 1, 2, 10])]
    return b"".join(lines)


def repeat_lines(rng, data, _other):
    lines = lines_of(data)
    start = rng.randrange(len(lines))
    block = lines[start : start + rng.choice([1, 1, 2, 10])]
    where = rng.choice([start, rng.randrange(len(lines) + 1)])
    return b"".join([*lines[:where], *block * rng.choice([1, 1, 3]), *lines[where:]])


def swap_lines(rng, data, _other):
    lines = lines_of(data)
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines)


def indent_lines(rng, data, _other):
    lines = lines_of(data)
    start = rng.randrange(len(lines))
    add = rng.choice([b" ", b"  ", b"\t", b"        ", None])
    for index in range(start, min(len(lines), start + rng.choice([1, 2, 10]))):
        lines[index] = lines[index][1:] if add is None else add + lines[index]
    return b"".join(lines)


def insert_token(rng, data, _other):
    for _ in range(rng.randint(1, 3)):
        where = rng.randrange(len(data) + 1)
        data = data[:where] + rng.choice(TOKENS).encode() + data[where:]
    return data


def replace_word(rng, data, _other):
    """A token in the place of one word, or of all that follows a key."""
    lines = lines_of(data)
    index = rng.randrange(len(lines))
    token = rng.choice(TOKENS).encode()
    for sign in rng.sample([b":", b"=", b" "], 3):
        before, found, _ = lines[index].partition(sign)
        if found:
            lines[index] = before + sign + b" " + token + b"\n"
            break
    else:
        lines[index] = token + b"\n"
    return b"".join(lines)


def swap_values(rng, data, other):
    """Values change places, within a text and between two: the text stays whole, its meaning does not."""
    lines, donors = lines_of(data), lines_of(data) + lines_of(other)
    for _ in range(rng.randint(1, 4)):
        index = rng.randrange(len(lines))
        sign = b"=" if b" = " in lines[index] else b":"
        key, found, _ = lines[index].partition(sign)
        values = [
            value for line in rng.sample(donors, min(8, len(donors))) if (value := line.partition(sign)[2])
        ]
        if found and values:
            lines[index] = key + sign + rng.choice(values)
    return b"".join(lines)


def insert_raw(rng, data, _other):
    where = rng.choice([0, len(data), rng.randrange(len(data) + 1)])
    return data[:where] + rng.choice(RAW) + data[where:]


def truncate(rng, data, _other):
    return data[: rng.randrange(len(data) + 1)]


def line_ends(rng, data, _other):
    if rng.random() < 0.3:
        return b"\xef\xbb\xbf" + data
    return data.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n", b" \n", b"\n \t"]))


def nest(rng, data, _other):
    """Brackets, dotted keys or indentation, deep."""
    depth = rng.choice([5, 20, 63, 64, 65, 66, 100, 1000, rng.choice([100, 1000, 10_000])])
    shape = rng.randrange(6)
    if shape == 0:
        block = b"deep: " + b"[" * depth + b"]" * depth + b"\n"
    elif shape == 1:
        block = b"deep = " + b"{ a = " * depth + b"1" + b" }" * depth + b"\n"
    elif shape == 2:
        block = b"deep: " + b"{a: " * depth + b"1" + b"}" * depth + b"\n"
    elif shape == 3:
        depth = min(depth, 1000)
        block = b"".join(b" " * level + b"a:\n" for level in range(depth)) + b" " * depth + b"a: 1\n"
    elif shape == 4:
        block = b"[" + b".".join([b"a"] * depth) + b"]\n"
    else:
        block = b'deep = "' + b"${a." * depth + b"}" * depth + b'"\n'
    where = rng.choice([0, len(data)])
    return data[:where] + block + data[where:]


def splice(rng, data, other):
    """The beginning of one file and the end of another, cut at line ends or anywhere."""
    if rng.random() < 0.6:
        first, second = lines_of(data), lines_of(other)
        return b"".join(first[: rng.randrange(len(first) + 1)] + second[rng.randrange(len(second) + 1) :])
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def defaults_list(rng, data, _other):
    """A `defaults` list in front, in both formats, with entries that lead somewhere, nowhere or round."""
    entries = [
        "_self_",
        "input",
        "nothing",
        "../ppo_trainer/eval",
        "../../x",
        "/a/b",
        "",
        "..",
        "${a}",
        "a: b",
        7,
    ]
    keys = [
        "../ppo_trainer@models.model_0.ppo_trainer_config",
        "optional x",
        "override x",
        "a@",
        "@b",
        "/ppo_trainer",
    ]
    yaml, toml = [], []
    for _ in range(rng.randint(0, 4)):
        if rng.random() < 0.5:
            entry = rng.choice(entries)
            yaml.append(f"- {entry}\n")
            toml.append(str(entry) if isinstance(entry, int) else f'"{entry}"')
        else:
            key, option = rng.choice(keys), rng.choice(["eval", "base", "null", "[eval, base]", "???"])
            yaml.append(f"- {key}: {option}\n")
            toml.append(f'{{ "{key}" = "{option}" }}')
    as_yaml = rng.random() < 0.5 or b" = " not in data
    head = "defaults:\n" + "".join(yaml) if as_yaml else f"defaults = [{', '.join(toml)}]\n"
    return head.encode() + data


MUTATIONS = [
    *(
        flip_bytes,
        delete_bytes,
        delete_lines,
        repeat_lines,
        swap_lines,
        indent_lines,
        insert_token,
        replace_word,
    ),
    *(insert_token, replace_word, insert_raw, truncate, line_ends, nest, splice, defaults_list),
    *(swap_values, swap_values, swap_values, delete_lines),
]


def mutate(rng, data, other):
    """Apply one to four mutations; one file in twenty stays as it is."""
    if rng.random() < 0.05:
        return data
    for _ in range(rng.choice([1, 1, 1, 1, 1, 2, 2, 3, 4])):
        data = rng.choice(MUTATIONS)(rng, data, other)
    return data

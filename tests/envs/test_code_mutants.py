from pettingllms.envs.code_mutants import mutants


def test_each_mutant_differs_in_one_place():
    assert mutants("print(int(input()) + 5)", 9) == ["print(int(input()) - 5)", "print(int(input()) + 6)"]
    assert mutants("a = 1 if x < y and z else 2", 9) == [
        "a = 1 if x < y or z else 2",
        "a = 2 if x < y and z else 2",
        "a = 1 if x < y and z else 3",
        "a = 1 if x <= y and z else 2",
    ]


def test_they_are_few_spread_and_the_same_each_time():
    source = "\n".join(f"print({number} * {number})" for number in range(20))
    found = mutants(source, 4)
    assert len(found) == len(set(found)) == 4 and found == mutants(source, 4)
    changed = [
        next(
            place
            for place, lines in enumerate(zip(one.split("\n"), source.split("\n"), strict=True))
            if lines[0] != lines[1]
        )
        for one in found
    ]
    assert max(changed) - min(changed) >= 5


def test_what_cannot_be_changed_has_no_mutants():
    assert mutants("print(input())", 4) == []
    assert mutants("def f(:", 4) == []
    assert mutants("x = '\0'", 4) == []

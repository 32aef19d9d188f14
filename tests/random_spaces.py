"""Small random spaces: axes that are zipped, conditional, and refer to each other."""

from hypothesis import strategies as st

from pettingllms.config.axes import Axis


@st.composite
def spaces(draw):
    """Axes `x0`, `x1`, …, some zipped, some with a condition, and keys `r0`, … that refer to one each.

    An order is drawn first, and conditions look back in it: it is rarely the order of the file.
    """
    count = draw(st.integers(1, 5))
    order = draw(st.permutations(range(count)))
    zipped = draw(st.sets(st.integers(0, count - 1), max_size=count))
    zipped = zipped if len(zipped) > 1 else set()
    width = draw(st.integers(1, 3))
    first_zipped = min(zipped, key=order.index, default=None)
    axes = {}
    shared = None
    for place, number in enumerate(order):
        size = width if number in zipped else draw(st.integers(1, 3))
        earlier = [one for one in order[:place] if number not in zipped]
        when = None
        if number == first_zipped:
            earlier = [one for one in order[:place] if one not in zipped]
        if earlier and draw(st.integers(0, 3)):
            terms = []
            for one in draw(st.lists(st.sampled_from(earlier), min_size=1, max_size=2)):
                name = f"{draw(st.sampled_from('xrr'))}{one}"
                terms.append(f"{name} {draw(st.sampled_from(['<', '>=', '==']))} {draw(st.integers(0, 3))}")
            when = draw(st.sampled_from([" and ", " or "])).join(terms)
        if number == first_zipped:
            shared = when
        values = tuple(range(size))
        default = draw(st.integers(0, size - 1))
        condition = shared if number in zipped else when
        axes[number] = Axis(
            (f"x{number}",), values, default, when=condition, zip="z" if number in zipped else None
        )
    return [axes[number] for number in sorted(axes)]


def referring(values, path):
    """The value of `rN` is that of `xN`, as where a key refers to a swept one."""
    name = path[0].replace("r", "x")
    if (name,) not in values:
        raise KeyError(path)
    return values[(name,)]

"""PLM6, YAML and conversion: pages of what a reader of the YAML text may not expect."""

from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import loading_rule


@loading_rule("PLM601", "text-none", Severity.WARNING)
def text_none() -> None:
    """A YAML value is written `None` or `nil`, which is text.

    The null of YAML is `null`, `~` or nothing. Quotes say that the word itself is meant. Plain `none` is
    a word of the schema (`filter_method: none`), and is not remarked on.
    """


@loading_rule("PLM602", "yaml-1.1-scalar", Severity.WARNING)
def yaml_1_1_scalar() -> None:
    """A YAML value is read as OmegaConf and Hydra read it, and YAML 1.2 reads it otherwise.

    `yes`, `no`, `on` and `off` are booleans, `017` is 15, `0o17` is text, and `12:30` is 750, counted
    in sixties. The help says how to write what was read, and how to write the text.
    """


@loading_rule("PLM603", "anchor-expanded", Severity.INFO)
def anchor_expanded() -> None:
    """A YAML alias or merge key is read as a copy of what it names.

    The copy does not follow later changes of the original, by an override for example, and a
    conversion writes it out. A reference, `${a.b}`, stays one.
    """

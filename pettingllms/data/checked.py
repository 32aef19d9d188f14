"""The rows of a split as data of tasks: converted, compared, and bad ones counted by reason up to a limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pettingllms.data.comparing import canonical, digest, normalised, question_of
from pettingllms.data.reading import MAX_ROW_BYTES, rows_in
from pettingllms.data.rows import (
    ID,
    MAX_ID_CHARACTERS,
    BadReason,
    BadRowError,
    Converter,
    Verifier,
    kind,
    short,
)
from pettingllms.errors import RefusedError

SHOWN = 5
"""Bad rows that are shown with their places."""


@dataclass(frozen=True, slots=True)
class GoodRow:
    """A row that is a task. `name`: its own id, or file and number; `digest`: SHA-256 of its data."""

    name: str
    data: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """What the files of a split hold.

    `total`: rows, bad ones among them. `bad`: how many by reason. `places`: the first of them, as
    `file:number: reason: what`.
    """

    good: tuple[GoodRow, ...]
    total: int
    bad: Mapping[str, int]
    places: tuple[str, ...]


def checked_rows(
    root: Path,
    names: Sequence[str],
    converter: Converter,
    known: Set[BadReason],
    max_bad_fraction: float,
    verify: Verifier | None = None,
    limit: int = MAX_ROW_BYTES,
) -> CheckedRows:
    """All rows of the files `names` below `root`, in order.

    `known`: reasons that are no surprise in this source; rows that are bad for others may be
    `max_bad_fraction` of all. `verify`: looks at what was converted. `limit`: bytes of a line. Raises
    RefusedError where more are bad, naming the first places.
    """
    seen, good, faults = _Seen(), [], _Faults(known)
    total = 0
    for place, name, row in _all_rows(root, names, limit):
        total += 1
        try:
            if isinstance(row, BadRowError):
                raise row
            good.append((place, _good(_converted(converter, row), name, seen)))
        except BadRowError as error:
            faults.add(place, error)
    if verify is not None and good:
        verdicts = verify([row.data for _, row in good])
        for (place, _), verdict in zip(good, verdicts, strict=True):
            if verdict is not None:
                faults.add(place, verdict)
        good = [one for one, verdict in zip(good, verdicts, strict=True) if verdict is None]
    faults.refuse_more_than(max_bad_fraction, total)
    return CheckedRows(
        tuple(row for _, row in good), total, dict(faults.reasons.most_common()), tuple(faults.places)
    )


@dataclass(slots=True)
class _Faults:
    """Bad rows by reason, with the first places; `surprises` are those for reasons that are not `known`."""

    known: Set[BadReason]
    reasons: Counter[str] = field(default_factory=Counter)
    places: list[str] = field(default_factory=list)
    surprises: int = 0
    surprising: list[str] = field(default_factory=list)

    def add(self, place: str, error: BadRowError) -> None:
        self.reasons[error.reason] += 1
        if len(self.places) < SHOWN:
            self.places.append(f"{place}: {error}")
        if error.reason not in self.known:
            self.surprises += 1
            if len(self.surprising) < SHOWN:
                self.surprising.append(f"{place}: {error}")

    def refuse_more_than(self, share: float, total: int) -> None:
        if self.surprises <= share * total:
            return
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common())
        lines = "".join(f"\n  {place}" for place in self.surprising)
        raise RefusedError(
            f"{self.surprises} of {total} rows are bad, and at most {share:.2%} may be ({reasons}); the "
            f"first:{lines}",
            help="mend the rows, or allow more with env.options.max_bad_fraction; where fields have other "
            "names, say which in env.options.fields",
        )


def _all_rows(
    root: Path, names: Sequence[str], limit: int
) -> Iterator[tuple[str, str, Mapping[str, Any] | BadRowError]]:
    for name in names:
        path = root / name
        for number, row in rows_in(path, limit):
            yield f"{path}:{number}", f"{name}:{number}", row


def _converted(converter: Converter, row: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return converter(row)
    except BadRowError:
        raise
    except Exception as cause:
        # A converter may trip over what nobody thought of; the row is named, and the others are read.
        raise BadRowError(BadReason.WRONG_TYPE, short(f"{type(cause).__name__}: {cause}")) from cause


@dataclass(slots=True)
class _Seen:
    """Ids of earlier rows, and hashes of their questions; each with the row that has it."""

    ids: dict[str, str] = field(default_factory=dict)
    questions: dict[str, str] = field(default_factory=dict)


def _good(data: Mapping[str, Any], name: str, seen: _Seen) -> GoodRow:
    own = _own_id(data)
    if own is not None and (first := seen.ids.get(own)) is not None:
        raise BadRowError(BadReason.DUPLICATE, f"{first} has the same id")
    try:
        question = digest(normalised(question_of(data)))
        if (first := seen.questions.get(question)) is not None:
            raise BadRowError(BadReason.DUPLICATE, f"{first} has the same question")
        whole = digest(canonical(data))
    except UnicodeEncodeError:
        raise BadRowError(BadReason.NON_UTF8, "half a character, which no text can hold") from None
    except RecursionError as cause:
        raise BadRowError(BadReason.BAD_JSON, short(cause)) from None
    if own is not None:
        seen.ids[own] = name
    seen.questions[question] = name
    return GoodRow(own or name, data, whole)


def _own_id(data: Mapping[str, Any]) -> str | None:
    own = data.get(ID)
    if own is None:
        return None
    if isinstance(own, bool) or not isinstance(own, str | int) or not str(own).strip():
        raise BadRowError(BadReason.WRONG_TYPE, f"the id is {kind(own)}, not a text or a whole number")
    if len(str(own)) > MAX_ID_CHARACTERS:
        raise BadRowError(BadReason.WRONG_TYPE, f"the id is longer than {MAX_ID_CHARACTERS} characters")
    return str(own)

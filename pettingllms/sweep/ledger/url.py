"""What `--storage` names: a PostgreSQL database, or a SQLite file for one worker at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pettingllms.errors import UsageError
from pettingllms.hiding import hide, without_passwords

FORMS = "postgresql://USER@HOST/DATABASE, or sqlite:///FILE"
_SCHEMES = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "sqlite": "sqlite",
}


@dataclass(frozen=True, slots=True)
class StorageUrl:
    """A database for studies. `url`: as SQLAlchemy and Optuna take it; it may hold a password."""

    kind: Literal["postgresql", "sqlite"]
    url: str

    @property
    def shown(self) -> str:
        """The same for people, without a password and without the driver."""
        return without_passwords(self._plain)

    @property
    def without_password(self) -> str:
        """The same for files: it can be read again."""
        plain = without_passwords(self._plain).replace(":***@", "@", 1)
        return re.sub(r"(?<=[?&])(?:ssl)?password=[^&#]*&?", "", plain).rstrip("?&")

    @property
    def _plain(self) -> str:
        return self.url.replace("postgresql+psycopg:", "postgresql:", 1)

    @property
    def file(self) -> str:
        """The file of a SQLite database."""
        return unquote(urlsplit(self.url).path[1:])


def storage_url(text: str) -> StorageUrl:
    """Read the value of `--storage`; its password is shown nowhere from now on.

    Raises UsageError where it names no database, or one of a kind that studies cannot be kept in.
    """
    scheme, mark, rest = text.partition("://")
    driver = _SCHEMES.get(scheme)
    if not mark or driver is None:
        # A mistyped URL may hold a password, and nothing tells where.
        told = "what is given" if "@" in text or "=" in text else text or "an empty text"
        what = f"studies are not kept in {scheme}" if mark else f"{told} is no URL of a database"
        raise UsageError(f"--storage: {what}", help=f"write {FORMS}")
    url = f"{driver}://{rest}"
    try:
        parts = urlsplit(url)
        password, _ = parts.password, parts.port
        whole = parts.netloc.count("@") <= 1
    except ValueError:
        # The message would quote what may be a part of the password.
        whole, password = False, None
    if not whole:
        raise UsageError(
            "--storage: the URL cannot be read: its host, its port, or a sign in its password",
            help=f"write {FORMS}; in a password @ is %40, / is %2F, : is %3A",
        )
    given = [value for key, value in parse_qsl(parts.query) if key in ("password", "sslpassword")]
    for secret in (password, *given):
        if secret:
            hide({unquote(secret): "***", secret: "***"})
    name = parts.path[1:]
    if not name or (driver == "sqlite" and (parts.netloc or name == ":memory:")):
        what = "a file" if driver == "sqlite" else "a database"
        raise UsageError(f"--storage: the URL names no {what[2:]}", help=f"name {what}: {FORMS}")
    return StorageUrl("sqlite" if driver == "sqlite" else "postgresql", url)

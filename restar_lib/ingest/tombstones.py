"""Tombstones: keyed hashes of what people asked to be erased, so that no source brings it back.

A person's tombstone refuses what they wrote before they asked; a review's and a row's refuse exactly that one. The key
is a file in the state folder (`forget.key`, readable by its owner), not in the database: with a dump alone nobody can
test a guess. With tombstones but without their key nothing is ingested, because erased people would come back.

Owns table `forgotten`. It deletes nothing (`privacy.forget` does); `ingest.load` asks it, in the transaction of
each chunk. A person's later reviews are taken; one that comes without its author under a new id is not recognised.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from restar_lib.atomic_files import write_text
from restar_lib.domain import ForgottenKind, QuarantineReason
from restar_lib.errors import ConfigurationError
from restar_lib.ingest.cleaning.clean import Rejection, identifier
from restar_lib.ingest.cleaning.copy_lines import CleanedRow, CopyLine
from restar_lib.ingest.quarantine import readable_text
from restar_lib.ingest.raw_rows import RawRow
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import Forgotten

KEY_FILE, KEY_BYTES = "forget.key", 32
REFUSAL = Rejection(reason=QuarantineReason.FORGOTTEN, detail="its author asked to be forgotten; nothing of it is kept")


@dataclass(frozen=True)
class ForgetKey:
    """The secret that turns ids into the keys of tombstones."""

    secret: bytes

    @classmethod
    def of(cls, home: Path) -> Self | None:
        """The key of a state folder; None where nobody was forgotten yet. Raises `ConfigurationError`."""
        path = home / KEY_FILE
        try:
            secret = bytes.fromhex(path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ConfigurationError(_not_a_key(path, error)) from None
        if len(secret) != KEY_BYTES:
            raise ConfigurationError(_not_a_key(path, f"{len(secret)} bytes"))
        return cls(secret)

    @classmethod
    def of_or_new(cls, home: Path) -> Self:
        """The key of a state folder, made the first time."""
        if not (home / KEY_FILE).exists():
            write_text(home / KEY_FILE, secrets.token_hex(KEY_BYTES))
        key = cls.of(home)
        if key is None:
            raise ConfigurationError(_not_a_key(home / KEY_FILE, "it is gone"))
        return key

    @property
    def check(self) -> str:
        """Stored with every tombstone, so that another key is noticed."""
        return self._digest("check")[:8]

    def user(self, user_id: str) -> str:
        """Key of a person."""
        return self._digest(f"user {user_id}")

    def review(self, source: str, id_in_source: str, text_hash: str) -> str:
        """Key of a review, by which ingest refuses it: the same id may stand before others, as that of a product."""
        return self._digest(f"review of {source}\0{id_in_source}\0{text_hash}")

    def stored_review(self, review_id: str) -> str:
        """Key of a review by the id that it had here, by which files that hold it are found."""
        return self._digest(f"stored review {review_id}")

    def review_of_any_source(self, review_id: str) -> str:
        """Key of a review that was erased before ids belonged to a source: refused wherever it comes from."""
        return self._digest(f"review {review_id}")

    def row(self, raw: str) -> str:
        """Key of a row as the quarantine shows it, whatever source it comes from."""
        return self._digest(f"row {raw}")

    def _digest(self, message: str) -> str:
        return hmac.new(self.secret, message.encode(), hashlib.sha256).hexdigest()


def screen(
    connection: Connection, home: Path, rows: Sequence[RawRow], cleaned: Sequence[CleanedRow], *, source: str
) -> list[CleanedRow]:
    """The results of cleaning, with `REFUSAL` in the place of what was erased.

    Raises `ConfigurationError` where there are tombstones and their key is not at hand. Costs one small query where
    nobody was ever forgotten.
    """
    key = key_in_use(connection, home)
    if key is None:
        return list(cleaned)
    keys = [_keys(key, row, result, source=source) for row, result in zip(rows, cleaned, strict=True)]
    found = _found(connection, (one for of_row in keys for one in of_row))
    return [
        REFUSAL if any(_refuses(found.get(one), one, result) for one in of_row) else result
        for of_row, result in zip(keys, cleaned, strict=True)
    ]


def bury(connection: Connection, key: ForgetKey, keys: Iterable[tuple[ForgottenKind, str]], *, now: datetime) -> None:
    """Set tombstones; one that exists already is moved to `now`."""
    rows = [{"kind": kind, "key": one, "key_check": key.check, "forgotten_at": now} for kind, one in keys]
    if rows:
        statement = insert(Forgotten)
        moved = {"forgotten_at": statement.excluded.forgotten_at}
        connection.execute(statement.on_conflict_do_update(index_elements=["kind", "key"], set_=moved), rows)


def forgotten_reviews(connection: Connection, key: ForgetKey, review_ids: Iterable[str]) -> set[str]:
    """Which of these review ids have a tombstone of their own."""
    keys = {
        made(review_id): review_id for review_id in review_ids for made in (key.stored_review, key.review_of_any_source)
    }
    found = _found(connection, ((ForgottenKind.REVIEW, one) for one in keys))
    return {keys[one] for _, one in found}


def key_in_use(connection: Connection, home: Path) -> ForgetKey | None:
    """The key that the tombstones were made with; None where there are none. Raises `ConfigurationError`."""
    check = connection.scalar(select(Forgotten.key_check).limit(1))
    if check is None:
        return None
    key = ForgetKey.of(home)
    if key is None or key.check != check:
        raise ConfigurationError(
            f"people were forgotten here, and {home / KEY_FILE} is not the key of their tombstones: put it back from a "
            "backup. Without it their reviews would come back, so nothing is ingested"
        )
    return key


def _not_a_key(path: Path, problem: object) -> str:
    return (
        f"{path} is not a key of tombstones ({problem}): put it back from a backup; only where nobody was ever "
        "forgotten here, delete it"
    )


def _keys(key: ForgetKey, row: RawRow, result: CleanedRow, *, source: str) -> list[tuple[ForgottenKind, str]]:
    if isinstance(result, CopyLine):
        brought = result.id_in_source
        named = (key.review(source, brought, result.text_hash), key.review_of_any_source(brought))
        keys = [(ForgottenKind.REVIEW, one) for one in named]
        user_id = result.user_id
    else:
        keys = [(ForgottenKind.ROW, key.row(readable_text(row.raw)))]
        user_id = identifier((row.fields or {}).get("user_id"))
    return keys if user_id is None else [*keys, (ForgottenKind.USER, key.user(user_id))]


def _refuses(forgotten_at: datetime | None, key: tuple[ForgottenKind, str], result: CleanedRow) -> bool:
    if forgotten_at is None:
        return False
    # What a person writes after their erasure is new, and is taken.
    later = key[0] is ForgottenKind.USER and isinstance(result, CopyLine) and result.reviewed_at > forgotten_at
    return not later


def _found(
    connection: Connection, keys: Iterable[tuple[ForgottenKind, str]]
) -> dict[tuple[ForgottenKind, str], datetime]:
    wanted = one_of(Forgotten.key, sorted({key for _, key in keys}))
    rows = connection.execute(select(Forgotten.kind, Forgotten.key, Forgotten.forgotten_at).where(wanted))
    return {(kind, key): forgotten_at for kind, key, forgotten_at in rows}

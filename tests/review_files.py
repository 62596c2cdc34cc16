"""Reviews written to files of every form that `files` reads: the name of the file says which."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zstandard

FORMS = (
    "a.jsonl",
    "a.jsonl.gz",
    "a.ndjson.zst",
    "a.json",
    "a.json.gz",
    "pretty.json.zst",
    "a.csv",
    "a.csv.gz",
    "semicolons.csv.zst",
    "a.tsv",
    "a.tsv.gz",
    "a.parquet",
)


def review(number: int, **changes: Any) -> dict[str, Any]:
    """A row as real files have it, with everything that a form may stumble over."""
    fields = {
        "review_id": f"R{number}",
        "text": f'Review {number}, "quoted"; it has\ttabs, back\\slashes, {{brackets}} and über-long words. No. {number}',
        "rating": number % 5 + 1,
        "timestamp": 1378944000000 + number * 86_400_000,
        "asin": f"B{number:09}",
    }
    return fields | changes


def write_rows(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """`rows` in the form that the name of `file` says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    name = file.name.removesuffix(".gz").removesuffix(".zst")
    content = _content(name, rows)
    if file.suffix == ".gz":
        content = gzip.compress(content)
    file.write_bytes(zstandard.compress(content) if file.suffix == ".zst" else content)
    return file


def _content(name: str, rows: Sequence[dict[str, Any]]) -> bytes:
    if name.endswith(".parquet"):
        return _parquet(rows)
    if name.endswith(".json"):
        return json.dumps(rows, indent=2 if name.startswith("pretty") else None, ensure_ascii=False).encode()
    if name.endswith((".csv", ".tsv")):
        return _delimited(rows, "\t" if name.endswith(".tsv") else ";" if name.startswith("semicolons") else ",")
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _delimited(rows: Sequence[dict[str, Any]], delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), target, row_group_size=3 if len(rows) < 100 else 500)
    return target.getvalue()

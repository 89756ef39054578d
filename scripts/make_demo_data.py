"""Regenerate the demo's packaged mail from the raw SpamAssassin corpus.

    python scripts/make_demo_data.py [SOURCE] [--out src/trimtab/demo/data/mail.parquet]

SOURCE is a folder with `raw_eml.tar.gz` (one RFC 822 file per mail, named by its item id) and `features.csv` (the
derived features and the label of each). The same input and the same pyarrow give the same bytes.

What is kept of a mail: its features, its label, the sender's domain, a subject of at most 120 characters and the first
240 characters of its text. Local parts of addresses and crude words are masked: a reviewer does not need them.
"""

from __future__ import annotations

import argparse
import csv
import html
import re
import sys
import tarfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from email import message_from_bytes, policy
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_SOURCE = ROOT.parent / "shared" / "data" / "triage" / "spamassassin"
DEFAULT_OUT = ROOT / "src" / "trimtab" / "demo" / "data" / "mail.parquet"

SUBJECT_LENGTH = 120
SNIPPET_LENGTH = 240
# Where the extraction writes a number for "could not be read", the package keeps an honest null.
UNKNOWN = {"hour_utc": -1.0}

_NO_LETTER = re.compile(r"[\W_]+")
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")
_ADDRESS = re.compile(r"[\w.+%=-]+@(?=[\w-]+(?:\.[\w-]+)*)")
_DROPPED_HTML = re.compile(r"<!--.*?-->|<(style|script|title|head)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>?")
_LOOKS_LIKE_HTML = re.compile(r"<(html|body|table|font|center|br|p|a href)\b", re.IGNORECASE)
# The corpus has the adult advertising of its time; a demo on an office screen does not need it spelt out.
_CRUDE = re.compile(
    r"\b(anal|blow ?jobs?|cocks?|cum(shots?)?|cunts?|dicks?|fuck\w*|gang ?bangs?|horny|nude|orgasms?|penis|porn\w*|"
    r"pussy|pussies|shit\w*|sluts?|tits|whores?|xxx+)\b",
    re.IGNORECASE,
)
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")


def decoded(raw: bytes, charset: str | None) -> str:
    """Bytes as text, whatever a mail claims about them: an unknown or wrong charset falls back to Latin-1."""
    for name in (charset, "utf-8"):
        if name is None:
            continue
        try:
            return raw.decode(name.strip().strip('"'))
        except (LookupError, ValueError):
            continue
    return raw.decode("latin-1")


def header_text(value: object) -> str:
    """A header with its encoded words decoded; a malformed one comes back as it was written."""
    text = str(value) if value is not None else ""
    try:
        parts = decode_header(text)
    except (ValueError, TypeError):
        return text
    return "".join(part if isinstance(part, str) else decoded(part, charset) for part, charset in parts)


def folded(text: str, limit: int) -> str:
    """One clean line of at most `limit` characters: no control characters, addresses and crude words masked."""
    # Folding first and cutting generously keeps a long body from being looked at character by character.
    start = " ".join(text.replace("\ufffd", " ").split())[: 4 * limit]
    visible = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in start)
    line = _ADDRESS.sub("…@", " ".join(visible.split()))
    line = _CRUDE.sub(lambda word: word[0][0] + "***", line)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def body_text(mail: Message) -> str:
    """The readable text of a mail: its first non-empty plain part, else its first HTML part without the markup."""
    plain: list[str] = []
    marked: list[str] = []
    for part in mail.walk():
        if part.is_multipart() or part.get_content_maintype() != "text":
            continue
        try:
            raw = part.get_payload(decode=True)
        except (ValueError, LookupError, AssertionError):
            continue
        if not isinstance(raw, bytes):
            continue
        try:
            charset = part.get_content_charset()
        except (ValueError, LookupError):
            charset = None
        text = decoded(raw, charset)
        # Spam often declares HTML as plain text; what it looks like decides.
        is_html = part.get_content_subtype() == "html" or _LOOKS_LIKE_HTML.search(text[:4000]) is not None
        (marked if is_html else plain).append(text)
    for text in plain:
        if text.strip():
            return text
    for text in marked:
        stripped = html.unescape(_TAG.sub(" ", _DROPPED_HTML.sub(" ", text)))
        if stripped.strip():
            return stripped
    return ""


def sender_domain(mail: Message) -> str | None:
    """The domain of the From address in lower case, or None when there is no readable one."""
    try:
        addresses = getaddresses([str(mail.get("from", ""))])
    except (ValueError, TypeError, IndexError):
        return None
    for _, address in addresses:
        domain = address.rpartition("@")[2].strip().strip(".").lower() if "@" in address else ""
        if _DOMAIN.fullmatch(domain):
            return domain
    return None


def threads(mails: Mapping[str, tuple[Message, str]], features: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Number the conversations: mails that cite each other, have equal features or equal text belong together.

    The text counts from 40 characters on: shorter bodies ("test", "see attachment") are equal by chance.
    """
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for item, (mail, text) in mails.items():
        cited = " ".join(str(mail.get(name, "")) for name in ("message-id", "references", "in-reply-to"))
        links = [*_MESSAGE_ID.findall(cited), "features:" + "\x1f".join(features[item])]
        body = _NO_LETTER.sub("", text.casefold())
        if len(body) >= 40:
            links.append("text:" + sha256(body.encode("utf-8", "surrogatepass")).hexdigest())
        for link in links:
            parent[root(link)] = root(item)
    numbers: dict[str, int] = {}
    return {item: numbers.setdefault(root(item), len(numbers)) for item in mails}


def read_mails(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Item id and raw bytes of every mail of the archive."""
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                yield Path(member.name).stem, file.read()


def smallest(name: str, cells: Iterable[str]) -> pa.Array:
    """A feature column in the smallest type that keeps every value as the table writes it."""
    values = [float(cell) for cell in cells]
    kept = [None if value == UNKNOWN.get(name) else value for value in values]
    if any(value is not None and not value.is_integer() for value in kept):
        return pa.array(kept, pa.float64())
    whole = [None if value is None else int(value) for value in kept]
    top = max((value for value in whole if value is not None), default=0)
    kind = pa.uint8() if top < 2**8 else pa.uint16() if top < 2**16 else pa.uint32()
    return pa.array(whole, kind)


def build(source: Path) -> pa.Table:
    """The packaged table, sorted by item id."""
    with (source / "features.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["item_id"]: row for row in csv.DictReader(file)}
    items = sorted(rows)
    names = [name for name in rows[items[0]] if name not in ("item_id", "label")]
    parsed: dict[str, tuple[Message, str]] = {}
    for item, raw in sorted(read_mails(source / "raw_eml.tar.gz")):
        if item in rows:
            mail = message_from_bytes(raw, policy=policy.compat32)
            parsed[item] = (mail, body_text(mail))
    missing = [item for item in items if item not in parsed]
    if missing:
        raise SystemExit(f"{len(missing)} mails of features.csv are not in the archive, the first is {missing[0]}")
    thread = threads(parsed, {item: tuple(rows[item][name] for name in names) for item in items})
    columns: dict[str, pa.Array] = {
        "item_id": pa.array(items),
        "thread": pa.array([thread[item] for item in items], pa.uint16()),
        **{name: smallest(name, (rows[item][name] for item in items)) for name in names},
        "from_domain": pa.array([sender_domain(parsed[item][0]) for item in items]),
        "subject": pa.array([folded(header_text(parsed[item][0].get("subject")), SUBJECT_LENGTH) for item in items]),
        "snippet": pa.array([folded(parsed[item][1], SNIPPET_LENGTH) for item in items]),
        "label": pa.array([rows[item]["label"] for item in items]),
    }
    return pa.table(columns)


def write(table: pa.Table, out: Path) -> None:
    """One row group, zstd: small, and the same bytes for the same table."""
    out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, out, compression="zstd", compression_level=19, row_group_size=len(table))


def main(argv: list[str] | None = None) -> int:
    """Build the table, write it, say what was written."""
    parser = argparse.ArgumentParser(description="Regenerate the demo's packaged mail from the raw corpus.")
    parser.add_argument("source", nargs="?", type=Path, default=DEFAULT_SOURCE, help="folder with the raw mail")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="file to write")
    options = parser.parse_args(argv)
    if not (options.source / "raw_eml.tar.gz").is_file():
        print(f"no raw_eml.tar.gz in {options.source}: name the folder that has it", file=sys.stderr)
        return 2
    table = build(options.source)
    write(table, options.out)
    size = options.out.stat().st_size
    print(f"{len(table):,} mails, {len(set(table['thread'].to_pylist())):,} threads, {size:,} bytes -> {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

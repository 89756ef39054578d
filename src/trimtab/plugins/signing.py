"""Signing evidence packets with Ed25519. The private key is a file beside the database, never a row in it:
who can change rows cannot sign."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from trimtab.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Signs with one private key. `key_id` is the SHA-256 of the raw public key."""

    key_id: str
    public_key: str  # raw 32 bytes, base64
    _key: Ed25519PrivateKey

    def sign(self, body: bytes) -> str:
        """The signature of `body`, base64."""
        return base64.b64encode(self._key.sign(body)).decode()


def load_or_create(path: Path) -> Signer:
    """The signer whose private key is at `path` (PEM, PKCS #8); created for its owner only when there is none.

    Raises SettingError for a file that cannot be read or is no Ed25519 key.
    """
    try:
        if not path.exists():
            _create(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise SettingError(
            f"signing key {path}: cannot be used ({error}); restore it, or rotate to a new one"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingError(f"signing key {path}: is no Ed25519 key; restore it, or rotate to a new one")
    raw = key.public_key().public_bytes_raw()
    return Signer(key_id=hashlib.sha256(raw).hexdigest(), public_key=base64.b64encode(raw).decode(), _key=key)


def rotate(path: Path) -> Signer:
    """Put a new private key at `path`; the old one is destroyed, its public key stays in the database."""
    draft = path.with_suffix(path.suffix + ".new")
    draft.unlink(missing_ok=True)
    _create(draft)
    draft.replace(path)
    return load_or_create(path)


def _create(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may start at once: each writes a file of its own, and only the first link into place wins.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its key is the key
    finally:
        draft.unlink()


def key_fits(public_key: str, key_id: str) -> bool:
    """Whether `public_key` (base64) is the key that `key_id` names."""
    try:
        return hashlib.sha256(base64.b64decode(public_key, validate=True)).hexdigest() == key_id
    except ValueError:
        return False


def signature_holds(public_key: str, body: bytes, signature: str) -> bool:
    """Whether `signature` (base64) over `body` was made with the private half of `public_key` (base64)."""
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True)).verify(
            base64.b64decode(signature, validate=True), body
        )
    except (InvalidSignature, ValueError):
        return False
    return True

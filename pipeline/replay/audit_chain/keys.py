"""Ed25519 keys in PEM files, and their ids."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from endocrine.pipeline.process.seal_keys import KeyFileError

MARK = b"-----BEGIN "
ID_DIGITS = 16
"""Hexadecimal digits of a key id: 64 bits, enough to tell keys apart; the signature is what proves."""


def key_id(public: Ed25519PublicKey) -> str:
    """Return the id of a key: the beginning of the SHA-256 of its 32 raw bytes."""
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:ID_DIGITS]


def public_pem(public: Ed25519PublicKey) -> str:
    """Return the public key as text, to be handed out."""
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def create(path: Path) -> Ed25519PublicKey:
    """Write a new private key (PKCS 8, not encrypted, mode 0600); the public half. Raises KeyFileError if it exists."""
    private = Ed25519PrivateKey.generate()
    content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path} exists already; a key is never overwritten: name another file") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return private.public_key()


def load_private(path: Path) -> Ed25519PrivateKey:
    """Return the private key of a file. Raises KeyFileError, also where others than its owner may read it."""
    content = _read(path)
    if path.stat().st_mode & 0o077:
        raise KeyFileError(f"{path} may be read by others than its owner (chmod 600 {path}); if it was: a new key")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds no private key; expected an Ed25519 key, PEM, not encrypted (audit keygen)")
    return key


def load_public(paths: Iterable[Path]) -> dict[str, Ed25519PublicKey]:
    """Return public keys by id; a file may hold several, one after the other. Raises KeyFileError."""
    keys: dict[str, Ed25519PublicKey] = {}
    for path in paths:
        blocks = [MARK + part for part in _read(path).split(MARK)[1:]]
        for block in blocks:
            try:
                key = load_pem_public_key(block)
            except (ValueError, TypeError, UnsupportedAlgorithm):
                key = None
            if not isinstance(key, Ed25519PublicKey):
                raise KeyFileError(f"{path} holds what is no public key; expected Ed25519 public keys, PEM")
            keys[key_id(key)] = key
        if not blocks:
            raise KeyFileError(f"{path} holds no key; expected Ed25519 public keys, PEM")
    return keys


def signed_by(public: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Return whether the signature is this key's over this message."""
    try:
        public.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}; expected a PEM file") from None

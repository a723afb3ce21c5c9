"""Certificates: read, checked as a whole, and made into what a handshake needs; who a terminal's says it is.

TLS 1.2 or 1.3 (RFC 5246, RFC 8446) with forward secrecy and authenticated ciphers only, no compression, no
renegotiation, no tickets: every handshake looks at the client's certificate and at the revocation list.
"""

import os
import re
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn, cast

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

from switch.settings import ConfigError, Tls

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
FILE_MAX: Final = 16 << 20
"""Bytes of one file; a revocation list of a hundred thousand certificates has about 4 MB."""
TERMINAL_URI: Final = "dure:terminal:"
_TERMINAL = re.compile(r"[A-Za-z0-9._-]{1,7}\*|[A-Za-z0-9._-]{1,8}")
_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)
_VERSION: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}

Stamp = tuple[tuple[int, int, int] | None, ...]


class Identity(msgspec.Struct, frozen=True):
    """Who a client certificate says it is.

    `terminals` are the ids it may speak for, each may end in `*`; `issuer` (DER) and `serial` are what a
    revocation list names it by; `not_after` is in seconds since 1970.
    """

    terminals: tuple[str, ...]
    issuer: bytes
    serial: int
    not_after: float


class Material(msgspec.Struct, frozen=True):
    """A set of files that fit together: what handshakes use, who is revoked, and when each file ends."""

    context: ssl.SSLContext
    stamp: Stamp
    revoked: frozenset[tuple[bytes, int]]
    ends: dict[str, datetime]

    def is_revoked(self, identity: Identity) -> bool:
        """Whether the revocation list names this certificate."""
        return (identity.issuer, identity.serial) in self.revoked


def stamp_of(tls: Tls) -> Stamp:
    """What tells whether a file has changed: time, size and place of each; None for one that is not there."""
    stamps: list[tuple[int, int, int] | None] = []
    for name in (tls.certificate, tls.key, tls.client_ca, tls.crl):
        try:
            status = os.stat(name) if name else None
        except OSError:
            status = None
        stamps.append((status.st_mtime_ns, status.st_size, status.st_ino) if status else None)
    return tuple(stamps)


def load_tls(tls: Tls) -> Material:
    """Read the files and check that they fit together. Blocking; raises ConfigError with one clear line.

    What has run out is told by `ends` and not refused: whoever reloads decides (see `ended`).
    """
    stamp = stamp_of(tls)
    chain = _certificates(tls.certificate, "certificate")
    ends = {"certificate": min(one.not_valid_after_utc for one in chain)}
    context = _context(tls)
    revoked: set[tuple[bytes, int]] = set()
    if tls.client_ca:
        authorities = _certificates(tls.client_ca, "client_ca")
        ends["client_ca"] = min(one.not_valid_after_utc for one in authorities)
        context.verify_mode = _VERIFY[tls.client_certificates]
        _trust(context, tls.client_ca, "client_ca")
        if tls.crl:
            ends["crl"] = _read_revoked(tls.crl, authorities, revoked)
            _trust(context, tls.crl, "crl")
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    if stamp_of(tls) != stamp:
        raise ConfigError(f"{tls.certificate}: the files of listener.tls changed while being read: try again")
    return Material(context=context, stamp=stamp, revoked=frozenset(revoked), ends=ends)


def ended(material: Material, now: datetime) -> str:
    """The first of the files that has run out, or nothing."""
    return next((name for name, end in material.ends.items() if end <= now), "")


def identity_of(ssl_object: ssl.SSLObject | None) -> Identity | None:
    """Who is at the other end of a finished handshake; None without a client certificate."""
    der = ssl_object.getpeercert(binary_form=True) if ssl_object is not None else None
    if not der:
        return None
    certificate = x509.load_der_x509_certificate(der)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        uris = []
    told = [uri.removeprefix(TERMINAL_URI) for uri in uris if uri.startswith(TERMINAL_URI)]
    return Identity(
        terminals=tuple(one for one in told if _TERMINAL.fullmatch(one)),
        issuer=certificate.issuer.public_bytes(),
        serial=certificate.serial_number,
        not_after=certificate.not_valid_after_utc.timestamp(),
    )


def why_refused(error: BaseException) -> str:
    """A handshake's failure as one of a few labels."""
    if isinstance(error, ssl.SSLError):
        reason = str(error.reason or "")
        if "PEER_DID_NOT_RETURN" in reason:
            return "no certificate"
        return "certificate" if "VERIFY_FAILED" in reason else "handshake"
    # The loop cuts a handshake that takes too long with this very error; a peer that leaves gives another.
    return "handshake time" if isinstance(error, ConnectionAbortedError | TimeoutError) else "gone"


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSION[tls.minimum]
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    try:
        mode = stat.S_IMODE(os.stat(tls.key).st_mode)
        if mode & 0o077:
            raise ConfigError(
                f"{tls.key}: listener.tls.key: others may read it (mode {mode:04o}):"
                f" run `chmod 600 {tls.key}`"
            )
        context.load_cert_chain(tls.certificate, tls.key, password=_no_password)
    except ssl.SSLError as error:
        reason = (error.reason or "unreadable").replace("_", " ").lower()
        raise ConfigError(
            f"{tls.key}: listener.tls.key: does not fit {tls.certificate} ({reason}):"
            " give the certificate's own key as PEM, without a password"
        ) from None
    except OSError as error:
        raise ConfigError(_unreadable(tls.key, "key", error)) from None
    return context


def _no_password() -> NoReturn:
    raise ssl.SSLError(1, "the key needs a password")


def _read(path: str, key: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(FILE_MAX + 1)
    except OSError as error:
        raise ConfigError(_unreadable(path, key, error)) from None
    if len(data) > FILE_MAX:
        raise ConfigError(f"{path}: listener.tls.{key}: more than {FILE_MAX:,} bytes: this is no such file")
    return data


def _unreadable(path: str, key: str, error: OSError) -> str:
    return (
        f"{path}: listener.tls.{key}: cannot be read ({error.strerror}):"
        " name a PEM file that this user may read"
    )


def _certificates(path: str, key: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path, key))
    except ValueError:
        raise ConfigError(
            f"{path}: listener.tls.{key}: holds no certificate: name a PEM file of them"
        ) from None


def _trust(context: ssl.SSLContext, path: str, key: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError):
        raise ConfigError(f"{path}: listener.tls.{key}: is refused by OpenSSL: name a PEM file") from None


def _read_revoked(
    path: str, authorities: list[x509.Certificate], revoked: set[tuple[bytes, int]]
) -> datetime:
    """Add who is revoked; returns when the first of the lists ends."""
    ends: list[datetime] = []
    covered: set[x509.Name] = set()
    for pem in _CRL.findall(_read(path, "crl")):
        try:
            crl = x509.load_pem_x509_crl(pem)
        except ValueError:
            raise ConfigError(f"{path}: listener.tls.crl: a list in it is damaged: fetch it again") from None
        if not any(one.subject == crl.issuer and _signed(crl, one) for one in authorities):
            raise ConfigError(
                f"{path}: listener.tls.crl: the list of {crl.issuer.rfc4514_string()} is signed by"
                " no authority of client_ca: fetch it again, or add that authority"
            )
        covered.add(crl.issuer)
        issuer = crl.issuer.public_bytes()
        revoked.update((issuer, one.serial_number) for one in crl)
        ends.append(crl.next_update_utc or datetime.max.replace(tzinfo=UTC))
    missing = [one.subject for one in authorities if one.subject not in covered]
    if missing:
        raise ConfigError(
            f"{path}: listener.tls.crl: has no list of {missing[0].rfc4514_string()}: add it,"
            " its clients could not be checked"
        )
    return min(ends)


def _signed(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(cast(CertificateIssuerPublicKeyTypes, authority.public_key()))
    except (UnsupportedAlgorithm, TypeError, ValueError):
        return False  # a kind of key that signs nothing

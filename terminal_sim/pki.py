"""Certificates for the sandbox, made anew each time: an authority, the switch, and its terminals.

Only for simulations: the keys lie unprotected beside the configuration that names them.
"""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID: Final = timedelta(days=2)
ADDRESS: Final = "127.0.0.1"
TERMINAL_URI: Final = "dure:terminal:"

_Signer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def make_pki(directory: Path, terminals: str) -> None:
    """Writes ca.pem, switch.pem and .key, terminals.pem and .key into `directory`, which is made.

    `terminals` is the terminal id, or its beginning and `*`, that the terminals' certificate is for.
    """
    directory.mkdir(parents=True, exist_ok=True)
    authority = _signed("Sandbox authority", None, x509.BasicConstraints(ca=True, path_length=0))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ADDRESS))])
    estate = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(TERMINAL_URI + terminals)])
    (directory / "ca.pem").write_bytes(authority[0].public_bytes(serialization.Encoding.PEM))
    for name, signed in (
        ("switch", _signed("Sandbox switch", authority, address)),
        ("terminals", _signed("Sandbox terminals", authority, estate)),
    ):
        certificate, key = signed
        (directory / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        written = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (directory / f"{name}.key").write_bytes(written)
        (directory / f"{name}.key").chmod(0o600)


def client_context(ca: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """What a terminal connects with: the authority it trusts, and its own certificate if it has one.

    Raises OSError when a file cannot be read; ssl.SSLError is one.
    """
    context = ssl.create_default_context(cafile=str(ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def _signed(name: str, signer: _Signer | None, extension: x509.ExtensionType) -> _Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[0].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID)
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    signing = signer[1] if signer else key
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
    )
    return builder.sign(signing, hashes.SHA256()), key

"""Certificates for tests, made at run time: an authority, the switch's own, terminals', revocation lists."""

import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _write(path: Path, data: bytes) -> Path:
    """Replaced in one step, and read by its owner only."""
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_bytes(data)
    draft.replace(path)
    return path


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Authority:
    """A certificate authority that keeps its files in one folder."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(name))
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.file = _write(
            folder / f"{name.replace(' ', '_')}.pem",
            self._certificate.public_bytes(serialization.Encoding.PEM),
        )

    def issue(
        self,
        name: str,
        *,
        uris: Iterable[str] = (),
        server: bool = False,
        seconds: float = 30 * 86_400,
        file: str | None = None,
    ) -> tuple[Path, Path]:
        """(certificate, key) files of a new pair. `seconds` of life may be negative: run out long ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        if server:
            names += [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 400 * DAY)
            .not_valid_after(now + timedelta(seconds=seconds))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        stem = file or name
        return (
            _write(self.folder / f"{stem}.crt", certificate.public_bytes(serialization.Encoding.PEM)),
            _write(self.folder / f"{stem}.key", _pem(key)),
        )

    def revoke(self, *certificates: Path, seconds: float = 7 * 86_400, file: str = "crl.pem") -> Path:
        """Write the revocation list: these certificates and no others."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(_name(self.name))
            .last_update(now - DAY if seconds > 0 else now + timedelta(seconds=seconds) - DAY)
            .next_update(now + timedelta(seconds=seconds))
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        for path in certificates:
            serial = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - DAY).build()
            )
        crl = builder.sign(self._key, hashes.SHA256())
        return _write(self.folder / file, crl.public_bytes(serialization.Encoding.PEM))

    def client_context(self, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """What a terminal with this pair uses: it trusts this authority and checks the switch's name."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.file))
        if pair is not None:
            context.load_cert_chain(*map(str, pair))
        return context


def listener_tls(
    authority: Authority, pair: tuple[Path, Path], *, clients: str = "none", crl: str = ""
) -> str:
    """The [listener.tls] table of a configuration."""
    lines = ["[listener.tls]", f'certificate = "{pair[0]}"', f'key = "{pair[1]}"']
    if clients != "none":
        lines += [f'client_ca = "{authority.file}"', f'client_certificates = "{clients}"']
    if crl:
        lines.append(f'crl = "{crl}"')
    return "\n".join(lines)

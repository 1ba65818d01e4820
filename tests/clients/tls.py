"""TLS in front of an index, as a proxy has it in production: a CA of our own, and a relay that only decrypts.

    with Terminator(folder) as proxy:
        proxy.forward_to(8080)
        urlopen(proxy.url, context=proxy.trust)

The relay knows no HTTP: what the index answers is what the client gets, byte for byte.
"""

import asyncio
import ipaddress
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from koschey.embedded.ports import listen_anywhere

HOST = "localhost"
LOOPBACK = "127.0.0.1"
PIECE = 2**16
GOODBYE = 0.5
"""Seconds in which a client may answer that the connection ends."""
DAY = timedelta(days=1)
AUTHORITY = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of tests")])


class Terminator:
    """Listens with TLS on a port of its own, and hands on what it decrypts."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.certificates = folder / "authority.pem"
        """The CA file for clients: they believe nobody else, and nobody else believes it."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certify(folder, self.certificates))
        self._listener = listen_anywhere(LOOPBACK)
        self._target = 0
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="tls", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    @property
    def url(self) -> str:
        """Where it is reached, without a slash at its end."""
        return f"https://{HOST}:{self._listener.getsockname()[1]}"

    @property
    def trust(self) -> ssl.SSLContext:
        """For clients in this process."""
        return ssl.create_default_context(cafile=str(self.certificates))

    def forward_to(self, port: int) -> None:
        """Hand connections on to that port of loopback from now on; its server may be chosen after our address."""
        self._target = port

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(
            self._accept, sock=self._listener, ssl=self._context, ssl_shutdown_timeout=GOODBYE
        )
        await self._stop.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = self._loop.create_task(self._relay(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy both ways until one side has ended: TLS knows no half of a connection."""
        try:
            inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            writer.transport.abort()
            return
        ways = [asyncio.create_task(_copy(reader, inner_writer)), asyncio.create_task(_copy(inner_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for side in (inner_writer, writer):
                await _close(side)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    """Send what is still to be sent, and end; a client that does not say goodbye is not waited for long."""
    writer.close()
    with suppress(OSError):  # a TimeoutError is one
        await writer.wait_closed()


def certify(folder: Path, authority: Path) -> tuple[Path, Path]:
    """Make a certificate for this machine, and its key; the certificate that vouches for it goes to `authority`."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority.write_bytes(_pem(_authority(ca_key)))
    chain, private = folder / "localhost.pem", folder / "localhost.key"
    chain.write_bytes(_pem(_certify(key, ca_key)))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, private


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return (
        _builder(AUTHORITY, key, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(digital_signature=False, key_cert_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _certify(key: ec.EllipticCurvePrivateKey, ca_key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    names = [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
    return (
        _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]), key, ca_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, key_cert_sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, ca_key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    """What both certificates say; without the two identifiers Python 3.13 takes neither (RFC 5280, 4.2.1)."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(serial_number=x509.random_serial_number())
        .subject_name(subject)
        .issuer_name(AUTHORITY)
        .public_key(key.public_key())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )


def _usage(*, digital_signature: bool, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)

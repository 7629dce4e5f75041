"""Addresses to which no request can be sent: nobody listens, nobody has the name, speaks TLS, or can be trusted."""

import asyncio
import datetime as dt
import ipaddress
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streams.embedded.ports import LOOPBACK, free_port

REFUSED, NO_NAME, NO_TLS, BAD_CERTIFICATE = "connection refused", "DNS failure", "no TLS", "bad certificate"


@asynccontextmanager
async def unreachable(plain_url: str) -> AsyncIterator[Mapping[str, str]]:
    """An address of each kind. `plain_url` is that of a server without TLS."""
    with tempfile.TemporaryDirectory() as folder:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_self_signed(Path(folder)))
        server = await asyncio.start_server(_hang_up, LOOPBACK, 0, ssl=context)
        async with server:
            yield {
                REFUSED: f"http://{LOOPBACK}:{free_port()}",
                NO_NAME: "http://nobody.invalid",
                NO_TLS: plain_url.replace("http:", "https:"),
                BAD_CERTIFICATE: f"https://{LOOPBACK}:{server.sockets[0].getsockname()[1]}",
            }


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def _self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, LOOPBACK)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, *plain))
    return path

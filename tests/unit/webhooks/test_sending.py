"""One try over real sockets: what is sent, to whom, and how little an endpoint can do about it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from processors.webhooks.decide import Came
from processors.webhooks.signing import secret_of
from streams.webhooks.guard import Guard
from streams.webhooks.sending import MAX_ANSWER_BYTES, Sender
from tests.unit.webhooks.made import endpoint

INSTALLATION = b"a secret of sixteen"
BODY = '{"type":"request.completed","data":{"t":"4 \N{DEGREE SIGN}C"}}'
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthere"
HOST = "hooks.example.org"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """A server that says what it is told to, byte by byte."""

    port: int = 0
    requests: list[tuple[bytes, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    names: list[str | None] = field(default_factory=list)
    """What TLS clients asked for."""


@contextlib.asynccontextmanager
async def receiving(*answers: bytes | Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Answers in turn; the last one for ever."""
    receiver, left = Receiver(), list(answers)
    talking: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.connections += 1
        talking[asyncio.current_task()] = writer
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = await reader.readuntil(b"\r\n\r\n")
            line, *rest = head.decode().rstrip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
            body = await reader.readexactly(int(headers["content-length"]))
            receiver.requests.append((line.encode(), headers, body))
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(reader, writer)
        writer.close()

    if tls is not None:
        tls.sni_callback = lambda _, name, __: receiver.names.append(name)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task, writer in talking.items():
            if task is not None:
                task.cancel()
            writer.transport.abort()
        await asyncio.gather(*filter(None, talking), return_exceptions=True)
        await server.wait_closed()
        await asyncio.sleep(0)


def sender(addresses: Sequence[str] = ("127.0.0.1",), **options: Any) -> Sender:
    """Over http to loopback."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return Sender(Guard(frozenset({443}), True, resolve), INSTALLATION, **options)


async def sent(receiver: Receiver, *, to: str = "/", **options: Any) -> Came:
    one = endpoint(url=f"http://localhost:{receiver.port}{to}")
    return await sender(**options).send(one, "msg_1", BODY)


async def test_what_is_sent_is_what_the_standard_says() -> None:
    async with receiving(OK) as receiver:
        came = await sent(receiver, to="/hook?of=acme&x=%20%41")
    assert (came.http_status, came.error, came.answer, came.good) == (200, None, "there", True)
    [(line, headers, body)] = receiver.requests
    assert line == b"POST /hook?of=acme&x=%20%41 HTTP/1.1", "the path goes out as it was given"
    assert headers["host"] == f"localhost:{receiver.port}"
    assert headers["content-type"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("Penstock-Webhooks/")
    assert body == BODY.encode()
    assert Webhook(secret_of(INSTALLATION, "wh-1", 1)).verify(body, headers)["type"] == "request.completed"


async def test_a_url_without_a_path_has_one() -> None:
    async with receiving(OK) as receiver:
        await sent(receiver, to="")
    assert receiver.requests[0][0] == b"POST / HTTP/1.1"


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
async def test_a_bad_answer_is_told(status: int) -> None:
    async with receiving(f"HTTP/1.1 {status} No\r\nretry-after: 17\r\ncontent-length: 2\r\n\r\nno".encode()) as receiver:
        came = await sent(receiver)
    assert (came.http_status, came.answer, came.retry_after_s, came.good) == (status, "no", 17.0, False)
    assert str(status) in (came.error or "")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async with receiving(OK) as other:
        head = f"HTTP/1.1 {status} There\r\nlocation: http://localhost:{other.port}/\r\ncontent-length: 0\r\n\r\n"
        async with receiving(head.encode()) as receiver:
            came = await sent(receiver)
    assert came.http_status == status
    assert "redirects" in (came.error or "")
    assert (receiver.connections, other.connections) == (1, 0)


async def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving(OK) as proxy, receiving(OK) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await sent(receiver)).good
    assert (receiver.connections, proxy.connections) == (1, 0)


async def test_no_cookie_is_kept_and_no_connection_used_twice() -> None:
    answer = b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
    async with receiving(answer) as receiver:
        one, sending = endpoint(url=f"http://localhost:{receiver.port}/"), sender()
        for _ in range(3):
            assert (await sending.send(one, "msg_1", BODY)).good
    assert receiver.connections == 3
    assert all("cookie" not in headers for _, headers, _ in receiver.requests)


async def test_the_connection_goes_to_the_address_that_was_judged_whatever_the_name_says_then() -> None:
    async with receiving(OK) as receiver:
        asked = []

        async def resolve(host: str, port: int) -> Sequence[str]:
            asked.append(host)
            return ["127.0.0.1"]

        # Nobody else knows this name: only the address that was given to the guard can be connected to.
        one = endpoint(url=f"http://no-such-host.invalid:{receiver.port}/")
        came = await Sender(Guard(frozenset({443}), True, resolve), INSTALLATION).send(one, "msg_1", BODY)
    assert came.good
    assert asked == ["no-such-host.invalid"]


async def test_a_name_that_has_moved_inside_is_not_called() -> None:
    async with receiving(OK) as receiver:
        answers = [["127.0.0.1"], ["10.0.0.1"]]

        async def resolve(host: str, port: int) -> Sequence[str]:
            return answers.pop(0)

        one = endpoint(url=f"http://localhost:{receiver.port}/")
        sending = Sender(Guard(frozenset({443}), True, resolve), INSTALLATION)
        assert (await sending.send(one, "msg_1", BODY)).good
        came = await sending.send(one, "msg_2", BODY)
    assert came.http_status is None
    assert "loopback" in (came.error or "")
    assert receiver.connections == 1


async def test_a_second_address_is_tried_when_the_first_is_dead() -> None:
    async with receiving(OK) as receiver:
        came = await sent(receiver, addresses=("127.0.0.9", "127.0.0.1"))
    assert came.good, came


async def test_of_an_answer_so_much_is_read_and_no_more() -> None:
    written = 0

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            written += 65_536

    async with receiving(endless) as receiver:
        came = await sent(receiver)
    assert came.good
    assert came.answer == "x" * 1_000
    assert written < 100 * MAX_ANSWER_BYTES, "what the kernels hold, not what an endpoint likes to send"


async def test_an_answer_that_is_packed_is_not_unpacked() -> None:
    bomb = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00"
    async with receiving(bomb) as receiver:
        assert (await sent(receiver)).good


async def _silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _dripping(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _many_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x: y\r\n" * 1_000)
        await writer.drain()


@pytest.mark.parametrize("talk", [_silent, _dripping], ids=["silent", "dripping"])
async def test_a_try_takes_so_long_and_no_longer(talk: Talk) -> None:
    async with receiving(talk) as receiver:
        came = await sent(receiver, timeout_s=0.3)
    assert came.http_status is None
    assert "0.3 s" in (came.error or "")
    assert came.duration_ms >= 250


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(_many_headers, id="headers without end"),
        pytest.param(b"", id="nothing at all"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", id="half a body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", id="a header without end"),
        pytest.param(b"HTTP/1.1 999999 No\r\n\r\n", id="no status"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", id="bad chunks"),
    ],
)
async def test_nonsense_is_a_failure_and_nothing_worse(talk: bytes | Talk) -> None:
    async with receiving(talk) as receiver:
        came = await sent(receiver, timeout_s=5.0)
    assert not came.good
    assert came.error


async def test_nobody_there_is_a_failure() -> None:
    async with receiving(OK) as receiver:
        pass
    came = await sent(receiver)
    assert came.http_status is None
    assert came.error


# --- TLS ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Authority:
    """A certificate authority of this test's own."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def made(cls, folder: Path) -> "Authority":
        key, name = ec.generate_private_key(ec.SECP256R1()), _name("the test's authority")
        certificate = _signed(name, name, key, key, x509.BasicConstraints(ca=True, path_length=None))
        return cls(folder, key, certificate)

    def server(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        certificate = _signed(_name(host), self.certificate.subject, key, self.key, names)
        file = self.folder / f"{host}.pem"
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def trusted(self) -> ssl.SSLContext:
        pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(extension, critical=False)
        .sign(by, hashes.SHA256())
    )


async def sent_over_tls(receiver: Receiver, trust: ssl.SSLContext) -> Came:
    """To an address that counts as public here: everything else is as it is outside."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    guard = Guard(frozenset({receiver.port}), False, resolve, forbidden=lambda _: None)
    one = endpoint(url=f"https://{HOST}:{receiver.port}/hook")
    return await Sender(guard, INSTALLATION, trust=trust).send(one, "msg_1", BODY)


async def test_the_certificate_is_checked_against_the_name_though_the_address_is_pinned(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    async with receiving(OK, tls=authority.server(HOST)) as receiver:
        came = await sent_over_tls(receiver, authority.trusted())
    assert came.good, came
    assert receiver.names == [HOST]
    assert receiver.requests[0][1]["host"] == f"{HOST}:{receiver.port}"


async def test_another_names_certificate_is_not_believed(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    async with receiving(OK, tls=authority.server("other.example.org")) as receiver:
        came = await sent_over_tls(receiver, authority.trusted())
    assert came.http_status is None
    assert "certificate" in (came.error or "").lower()
    assert receiver.requests == []


async def test_a_strangers_certificate_is_not_believed(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    async with receiving(OK, tls=authority.server(HOST)) as receiver:
        came = await sent_over_tls(receiver, ssl.create_default_context())
    assert came.http_status is None
    assert "certificate" in (came.error or "").lower()
    assert receiver.requests == []


async def test_without_that_exception_loopback_is_not_called_over_https(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with receiving(OK, tls=authority.server(HOST)) as receiver:
        guard = Guard(frozenset({receiver.port}), True, resolve)
        one = endpoint(url=f"https://{HOST}:{receiver.port}/hook")
        came = await Sender(guard, INSTALLATION, trust=authority.trusted()).send(one, "msg_1", BODY)
    assert "may not be called" in (came.error or "")
    assert receiver.connections == 0

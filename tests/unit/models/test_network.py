import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core.errors import ConfigError, LocalOnlyError
from shoal.models.network import GuardedBackend, build_client, build_transport, is_permitted
from shoal.testing.http_server import HttpServer, Reply, Request

ELSEWHERE = "192.0.2.1"
"""Reserved for documentation (RFC 5737): nobody answers there."""


async def answer(request: Request, reply: Reply) -> None:
    await reply.send_json({"path": request.path, "authorization": request.headers.get("authorization")})


class ScriptedResolver:
    """Resolves to one answer after another."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("local_only", [True, False])
async def test_reaches_this_machine(host: str, local_only: bool) -> None:
    async with HttpServer(answer) as server:
        url = f"http://{host}:{server.port}/v1"
        async with build_client(
            url, local_only=local_only, headers={"Authorization": "Bearer key"}
        ) as client:
            response = await client.get("models")
    assert response.json() == {"path": "/v1/models", "authorization": "Bearer key"}


async def test_refuses_another_machine_before_connecting() -> None:
    async with build_client(f"http://{ELSEWHERE}", local_only=True) as client:
        with pytest.raises(LocalOnlyError) as caught:
            await client.get("/")
    assert ELSEWHERE in caught.value.what
    assert f'allowed_hosts = ["{ELSEWHERE}"]' in caught.value.mend


async def test_refuses_to_follow_a_redirect_out() -> None:
    async def redirect(request: Request, reply: Reply) -> None:
        await reply.start(status=307, headers={"location": f"http://{ELSEWHERE}/", "content-length": "0"})

    async with HttpServer(redirect) as server, build_client(server.url, local_only=True) as client:
        with pytest.raises(LocalOnlyError):
            await client.get("/", follow_redirects=True)


async def test_ignores_the_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def proxy(request: Request, reply: Reply) -> None:
        seen.append(request.path)
        await reply.send_json({})

    async with HttpServer(proxy) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, server.url)
        async with build_client(f"http://{ELSEWHERE}", local_only=True) as client:
            with pytest.raises(LocalOnlyError):
                await client.get("/")
    assert seen == []


async def test_connects_to_the_address_it_checked_and_asks_once() -> None:
    resolve = ScriptedResolver(["127.0.0.1"], [ELSEWHERE])
    backend = GuardedBackend(resolve=resolve)
    async with HttpServer(answer) as server:
        stream = await backend.connect_tcp("rebinding.example", server.port)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", server.port)
        await stream.aclose()
        assert resolve.asked == ["rebinding.example"]
        with pytest.raises(LocalOnlyError, match=r"rebinding\.example \(192\.0\.2\.1\)"):
            await backend.connect_tcp("rebinding.example", server.port)


async def test_one_foreign_address_among_local_ones_is_enough_to_refuse() -> None:
    async with HttpServer(answer) as server:
        backend = GuardedBackend(resolve=ScriptedResolver(["127.0.0.1", ELSEWHERE]))
        with pytest.raises(LocalOnlyError):
            await backend.connect_tcp("mixed.example", server.port)
        assert not server.connections


async def test_tries_the_next_address_when_one_does_not_answer() -> None:
    async with HttpServer(answer) as server:
        backend = GuardedBackend(resolve=ScriptedResolver(["::1", "127.0.0.1"]))
        stream = await backend.connect_tcp("both.example", server.port)
        assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
        await stream.aclose()


async def test_a_port_nobody_listens_at_is_a_connect_error() -> None:
    async with HttpServer(answer) as server:
        port = server.port
    async with build_client(f"http://127.0.0.1:{port}", local_only=True) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/")


@pytest.mark.parametrize("error", [OSError("no such name"), TimeoutError()])
async def test_a_name_that_does_not_resolve_is_a_connect_error(error: Exception) -> None:
    async def fail(host: str, port: int) -> Sequence[str]:
        raise error

    with pytest.raises((httpcore.ConnectError, httpcore.ConnectTimeout), match=r"name\.example was not"):
        await GuardedBackend(resolve=fail).connect_tcp("name.example", 80, timeout=1.0)


async def test_unix_sockets_are_this_machine(tmp_path: Path) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    path = str(tmp_path / "engine.sock")
    async with await asyncio.start_unix_server(greet, path):
        stream = await GuardedBackend().connect_unix_socket(path)
        assert await stream.read(5) == b"hello"
        await stream.aclose()


async def test_a_listed_host_may_not_resolve_to_a_public_address() -> None:
    backend = GuardedBackend(["GPU-box.lan"], resolve=ScriptedResolver(["8.8.8.8"], ["10.1.2.3"]))
    with pytest.raises(LocalOnlyError, match=r"gpu-box\.lan \(8\.8\.8\.8\)") as caught:
        await backend.connect_tcp("gpu-box.lan", 9)
    assert "this one is public" in caught.value.why
    with pytest.raises(LocalOnlyError, match=r"another\.lan"):
        await backend.connect_tcp("another.lan", 9)


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.0.7", "172.31.0.1", "fd00::1", "fe80::1%eth0"])
def test_private_addresses_are_permitted_for_listed_hosts_only(address: str) -> None:
    assert is_permitted(ip_address(address), listed=True)
    assert not is_permitted(ip_address(address), listed=False)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_unlisted_addresses_are_permitted_only_in_the_loopback_network(address: IPv4Address) -> None:
    is_loopback = address in ip_network("127.0.0.0/8")
    mapped = IPv6Address(f"::ffff:{address}")
    assert is_permitted(address, listed=False) == is_loopback
    assert is_permitted(mapped, listed=False) == is_loopback


@given(st.ip_addresses(v=6))
def test_of_ipv6_only_one_address_is_this_machine(address: IPv6Address) -> None:
    if address.ipv4_mapped is None:
        assert is_permitted(address, listed=False) == (address == IPv6Address("::1"))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "0.0.0.0"])
def test_public_addresses_are_never_permitted(address: str) -> None:
    assert not is_permitted(IPv4Address(address), listed=True)


@pytest.mark.parametrize(
    ("ending", "expected"), [("close", httpx.RemoteProtocolError), ("reset", httpx.ReadError)]
)
async def test_a_broken_body_is_an_httpx_error(ending: str, expected: type[httpx.TransportError]) -> None:
    async def break_off(request: Request, reply: Reply) -> None:
        await reply.start()
        await reply.send_raw(b"ff\r\nhalf")
        reply.close() if ending == "close" else reply.reset()

    async with HttpServer(break_off) as server, build_client(server.url, local_only=True) as client:
        with pytest.raises(expected) as caught:
            await client.get("/")
    assert caught.value.request.url.host == "127.0.0.1"


async def test_read_timeouts_of_the_caller_hold() -> None:
    async def hang(request: Request, reply: Reply) -> None:
        await asyncio.Event().wait()

    async with HttpServer(hang) as server, build_client(server.url, local_only=False) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=httpx.Timeout(None, read=0.01))


async def test_the_transport_guards_a_client_of_another_library() -> None:
    async with httpx.AsyncClient(transport=build_transport(local_only=True)) as client:
        with pytest.raises(LocalOnlyError):
            await client.get(f"http://{ELSEWHERE}/")


@pytest.mark.parametrize("url", ["127.0.0.1:11434", "ftp://host", "http://", "", "http://[::1"])
def test_what_is_not_an_http_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        build_client(url, local_only=True)

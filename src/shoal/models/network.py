"""How HTTP clients are built, and the guard that keeps `local_only` where sockets open.

The guard is a network backend of the connection pool: it resolves the host itself, checks every address,
and connects to an address it has checked, so that neither a name that resolves to something else a moment
later nor a redirect leads out. Proxies of the environment are never used. It guards clients built here;
a library that opens its own sockets has to be kept local by its own settings.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Protocol, cast, final

import httpcore
import httpx

from shoal.core.errors import ConfigError, LocalOnlyError

__all__ = ["GuardedBackend", "build_client", "build_transport", "is_permitted"]

CONNECT_TIMEOUT_S = 5.0
"""To open a connection. Reading has no limit here: `DeadlineModel` knows what is being waited for."""
KEEP_ALIVE_S = 4.0
"""Idle connections are dropped before uvicorn, which most servers run on, does it at 5 s."""
PRIVATE_NETWORKS = tuple(
    ip_network(block)
    for block in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "fc00::/7",
        "fe80::/10",
    )
)
"""RFC 1918, 3927, 6598, 4193 and 4291: what a host in `allowed_hosts` may resolve to."""

Address = IPv4Address | IPv6Address


def build_client(
    base_url: str,
    *,
    local_only: bool,
    headers: Mapping[str, str] | None = None,
    allowed_hosts: Sequence[str] = (),
) -> httpx.AsyncClient:
    """A client for one engine. Whoever builds it closes it.

    Args:
        base_url: `http://` or `https://`; paths of requests are appended to its path.
        local_only: refuse to connect to anything but this machine and `allowed_hosts`.
        headers: sent with every request, e.g. `Authorization`.
        allowed_hosts: names or addresses in a private network that count as local.

    Raises:
        ConfigError: `base_url` is not an HTTP address.
    """
    url = _parse_url(base_url)
    tls = httpx.create_ssl_context(trust_env=False) if url.scheme == "https" else None
    transport = build_transport(local_only=local_only, allowed_hosts=allowed_hosts, tls=tls)
    timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
    return httpx.AsyncClient(
        base_url=url, headers=headers, transport=transport, timeout=timeout, trust_env=False
    )


def build_transport(
    *, local_only: bool, allowed_hosts: Sequence[str] = (), tls: ssl.SSLContext | None = None
) -> httpx.AsyncBaseTransport:
    """The transport alone, for a library that builds its own `httpx.AsyncClient`.

    `tls=None` verifies against certifi's authorities, loaded anew with every connection.
    """
    backend = GuardedBackend(allowed_hosts) if local_only else _build_open_backend()
    return _PoolTransport(backend, tls)


def _build_open_backend() -> httpcore.AsyncNetworkBackend:
    # httpcore defines a stand-in of the same name for when anyio, which httpx requires, is missing.
    return cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())


def _parse_url(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ConfigError(f'"{base_url}" is not an address', why=str(error)) from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigError(
            f'"{base_url}" is not an HTTP address', mend=f'write "http://{base_url.rpartition("://")[2]}"'
        )
    return url


class Resolver(Protocol):
    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host. Raises OSError where it has none."""
        ...


@final
class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections to this machine, and to private addresses of the hosts in `allowed_hosts`."""

    def __init__(self, allowed_hosts: Sequence[str] = (), *, resolve: Resolver | None = None) -> None:
        self._allowed = {host.strip("[]").lower() for host in allowed_hosts}
        self._resolve = resolve or _resolve
        self._inner = _build_open_backend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the base class asks for it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers.

        Raises:
            LocalOnlyError: one of the addresses is not allowed; no connection was tried.
        """
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in await self._checked_addresses(host, port, timeout):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109  the base class asks for it
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return await self._inner.connect_unix_socket(path, timeout, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    async def _checked_addresses(self, host: str, port: int, timeout_s: float | None) -> Sequence[str]:
        try:
            async with asyncio.timeout(timeout_s):
                addresses = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} was not resolved within {timeout_s} s") from error
        except OSError as error:
            raise httpcore.ConnectError(f"{host} was not resolved: {error}") from error
        listed = host.lower() in self._allowed
        for address in addresses:
            if not is_permitted(ip_address(address), listed=listed):
                raise _refusal(host, address, listed=listed)
        return addresses


def is_permitted(address: Address, *, listed: bool) -> bool:
    """Whether `local_only` lets a connection go there; `listed`: its host is in `allowed_hosts`."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return True
    return listed and any(address in network for network in PRIVATE_NETWORKS)


def _refusal(host: str, address: str, *, listed: bool) -> LocalOnlyError:
    where = host if host == address else f"{host} ({address})"
    if listed:
        return LocalOnlyError(
            f"local_only forbids a connection to {where}",
            why="allowed_hosts covers private addresses, and this one is public",
            mend="set local_only = false in [network] of shoal.toml, or use an address in your own network",
        )
    return LocalOnlyError(
        f"local_only forbids a connection to {where}",
        why="it is not this machine (127.0.0.0/8, ::1 or a unix socket)",
        mend=f'for a machine in your own network: allowed_hosts = ["{host}"] in [network] of shoal.toml; '
        "else local_only = false there",
    )


async def _resolve(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class _PoolTransport(httpx.AsyncBaseTransport):
    """httpx over a connection pool with a network backend of our choice, which httpx's own cannot have."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend, tls: ssl.SSLContext | None) -> None:
        # No bound on connections: the scheduler bounds what is in flight, per model.
        self._pool = httpcore.AsyncConnectionPool(
            tls, network_backend=backend, max_connections=None, keepalive_expiry=KEEP_ALIVE_S
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with _as_httpx_errors(request):
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response, request),
            extensions=cast("dict[str, Any]", response.extensions),
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        with _as_httpx_errors(self._request):
            async for part in cast("AsyncIterable[bytes]", self._response.stream):
                yield part

    async def aclose(self) -> None:
        await self._response.aclose()


ERRORS: Mapping[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
}


@contextmanager
def _as_httpx_errors(request: httpx.Request) -> Generator[None]:
    try:
        yield
    except tuple(ERRORS) as error:
        raise ERRORS[type(error)](str(error), request=request) from error

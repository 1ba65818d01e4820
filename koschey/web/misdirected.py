"""Which hosts a request may name (RFC 9110, section 7.4): only those of this index, if it knows its own.

A request under another site's name (DNS rebinding, a forgotten record, a cache that trusts the header) is refused.
Ports are compared only if a setting names one, because proxies omit them or insert their own.
"""

from collections.abc import Iterable, Sequence

from koschey.errors import Misdirected, UsageError
from koschey.settings.hosts import Host, parse_host

OPEN_BELOW = "/_/"
"""Health checks may use any host, because they connect to the address that they have."""


class OwnHosts:
    """The hosts for which this index answers; if the set is empty, it answers for every host."""

    def __init__(self, hosts: Iterable[Host], public: str) -> None:
        self._hosts = frozenset(hosts)
        self._public = public

    def check(self, named: Sequence[bytes], authority: str | None, version: str, path: str) -> None:
        """Check the values of `Host` of a request for a path, or the authority of its target.

        Raises `UsageError` for a request that names no host or several (RFC 9112, section 3.2), and `Misdirected` for
        a request that names another host.
        """
        host = _read(named, authority, version)
        if not self._hosts or path.startswith(OPEN_BELOW):
            return
        if host is None or (host not in self._hosts and Host(host.name, None) not in self._hosts):
            raise Misdirected(
                f"the request is for another host than {self._public}; a proxy must pass the Host header on, and an "
                "operator can name further hosts in KOSCHEY_HOSTS"
            )


def _read(named: Sequence[bytes], authority: str | None, version: str) -> Host | None:
    """Return the host that a request names, or None if an HTTP/1.0 request names none. Raises `UsageError`."""
    if len(named) > 1:
        raise UsageError("the request has several Host headers; send one")
    text = named[0].decode("latin-1").strip() if named else ""
    if not text and version >= "1.1":
        raise UsageError("the request has no Host header; send the host that it is for")
    hosts = [parse_host(each) for each in (text, authority) if each]
    if None in hosts or authority == "":
        raise UsageError("the Host header names no host; send a name or an address, and perhaps a port")
    return hosts[-1] if hosts else None

"""Hosts of one's own network, as the setting names them."""

from ipaddress import ip_network

import pytest

from koschey.settings.private_hosts import NO_HOSTS, PrivateHost, host_of, parse_private_hosts


def test_names_ports_and_networks() -> None:
    """A name is any port of it, `name:port` that port alone, and a network covers addresses, in any spelling."""
    hosts = parse_private_hosts(
        " Files.Corp.Example. , index.corp.example:8080,10.1.0.0/16, [fd00::1]:443,192.168.7.7 ,, "
    )
    assert hosts.named == {
        PrivateHost("files.corp.example"),
        PrivateHost("index.corp.example", 8080),
        PrivateHost("fd00::1", 443),
    }
    assert hosts.networks == (ip_network("10.1.0.0/16"), ip_network("192.168.7.7/32"))
    assert hosts.name("FILES.corp.example", 1)
    assert hosts.name("files.corp.example.", None)
    assert hosts.name("index.corp.example", 8080)
    assert not hosts.name("index.corp.example", 8081)
    assert not hosts.name("x.files.corp.example", 1)
    assert hosts.name("[fd00:0:0::1]", 443)
    assert hosts.cover("10.1.255.255")
    assert hosts.cover("192.168.7.7")
    assert not hosts.cover("10.2.0.1")
    assert not hosts.cover("::ffff:10.1.0.1")
    assert not hosts.cover("files.corp.example")
    assert parse_private_hosts("") == NO_HOSTS


@pytest.mark.parametrize(
    "text",
    [
        *("http://files.example.org/", "files.example.org/simple", "a b", "user@host", "*.example.org", "-x", "x-"),
        *("host:99999", "host:", "host:x", "10.0.0.1/8", "0.0.0.0/0", "::/0", "[::1", "é.example.org", "a..b", "?"),
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    """What names no host, or names everybody, is refused with the text and what to write."""
    with pytest.raises(ValueError, match=r"is not a host; write|covers every address; name"):
        parse_private_hosts(f"good.example.org, {text}")


def test_hosts_of_urls() -> None:
    """A URL's own host is allowed with its own port; 80 and 443 are one site."""
    hosts = NO_HOSTS.with_urls(["http://127.0.0.1:3141/simple/", "https://Index.Example.org/simple/", "http://[::1/"])
    assert hosts.name("127.0.0.1", 3141)
    assert not hosts.name("127.0.0.1", 5432)
    assert not hosts.name("localhost", 3141)
    assert hosts.name("index.example.org", 443)
    assert hosts.name("index.example.org", 80)
    assert not hosts.name("index.example.org", 8443)
    assert host_of("https://x.example.org/") == ("x.example.org", 443)
    assert host_of("http://x:99999/") == ("", None)

"""Which addresses lie inside one's own network, however they are written."""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from koschey.upstream.egress import leads_inside

INSIDE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "169.254.170.2", "100.64.0.1", "100.127.255.255", "100.100.100.200", "192.0.0.192"),
    *("198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    # loopback, unspecified, link-local with and without a zone, unique local, site-local, multicast, discard-only
    *("::1", "0:0:0:0:0:0:0:1", "::", "fe80::1", "fe80::1%lo", "fe80::1%25eth0", "febf::1", "fc00::1", "fd00:ec2::254"),
    *("fec0::1", "ff02::1", "100::1"),
    # IPv4 in IPv6: mapped, compatible, translated, NAT64 (well-known and local), 6to4, Teredo
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::FFFF:10.0.0.1", "::ffff:169.254.169.254", "0:0:0:0:0:ffff:c0a8:101"),
    *("::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254"),
    *("64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::1", "2001:0:7f00:1::1"),
]
OUTSIDE = [
    *("8.8.8.8", "1.1.1.1", "11.0.0.1", "126.255.255.255", "128.0.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1"),
    *("100.63.255.255", "100.128.0.1", "169.253.0.1", "223.255.255.255", "198.20.0.1", "192.0.1.1"),
    *("2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"),
]


@pytest.mark.parametrize("address", INSIDE)
def test_inside(address: str) -> None:
    """Every way to write an address of one's own network is seen through."""
    assert leads_inside(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_outside(address: str) -> None:
    """Addresses of the world are allowed, up to the very edge of what is not."""
    assert not leads_inside(address)


def test_no_address() -> None:
    """What is no address is not judged here: it is a name, and judged by what it stands for."""
    with pytest.raises(ValueError, match="does not appear to be"):
        leads_inside("localhost")


EXEMPT = [
    ipaddress.ip_network(block)
    for block in (
        # Documentation's blocks lead nowhere, and 6to4 leads where the IPv4 address in it leads.
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20", "2002::/16"),
    )
]


@given(st.ip_addresses())
@example(ipaddress.ip_address("2001:2::1"))
@example(ipaddress.ip_address("192.0.0.170"))
def test_what_is_not_of_the_world_is_inside(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """No address that Python knows as not global is taken for one of the world's."""
    if not address.is_global and not any(address in block for block in EXEMPT):
        assert leads_inside(str(address))

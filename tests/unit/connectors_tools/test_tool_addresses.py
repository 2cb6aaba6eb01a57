"""What counts as public."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.connectors.tools.addresses import is_public, odd_number
from endocrine.pipeline.connectors.tools.fetch import checked_url
from endocrine.pipeline.connectors.tools.handler import ToolError
from properties import examples

PRIVATE = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1",
    "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1",
    "fe80::1%eth0", "fec0::1", "ff02::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.9.9.9", "100.63.255.255", "172.32.0.1", "223.255.255.255", "2606:4700::1111",
    "2a00:1450:4001::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address):
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "localhost", "example.org", "1.2.3", "0x7f.0.0.1", "127.1", "[::1]"])
def test_what_is_no_address_is_not_public(text):
    assert not is_public(text)


@settings(max_examples=examples(120))
@given(st.ip_addresses())
def test_nothing_is_public_that_the_registries_call_special(ip):
    if is_public(str(ip)):
        assert ip.is_global
        special = (ip.is_multicast, ip.is_private, ip.is_loopback, ip.is_link_local, ip.is_reserved)
        assert not any(special)
        if ip.version == 6:
            assert ip.ipv4_mapped is None
            assert ip.sixtofour is None
            assert ip.teredo is None


@settings(max_examples=examples(100))
@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_another_spelling_is_odd(ip):
    number = int(ip)
    a, b, c, d = ip.packed
    for spelling in (
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a}.{(b << 16) | (c << 8) | d}",
        f"0x{a:x}.{b}.{c}.{d}",
    ):
        assert odd_number(spelling)
    assert not odd_number(str(ip))


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd", "data:text/html,hi", "javascript:alert(1)", "ftp://example.org/", "gopher://example.org/",
        "http://", "http:///path", "//example.org", "example.org", "", "http://user@example.org/",
        "http://user:pw@example.org/", "http://:pw@example.org/", "http://@example.org/", "http://a b.org/",
        "http://example.org\\@127.0.0.1/", "http://example.org/\r\nHost: x", "http://localhost/", "http://LOCALHOST./",
        "http://a.localhost/", "http://metadata/", "http://metadata.google.internal/", "http://printer.local/",
        "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/", "http://example.org:0/",
        "http://example.org:99999/", "http://[::1", "http://exa mple.org", "h" * 3000, "http://example.org/\t",
    ],
)  # fmt: skip
def test_an_address_of_the_wrong_form_is_refused_before_anything_is_asked(address):
    with pytest.raises(ToolError):
        checked_url(address)


@pytest.mark.parametrize("address", ["http://example.org", "https://example.org:8443/a?b=c#d", "https://9.9.9.9/"])
def test_a_plain_web_address_passes(address):
    assert str(checked_url(address)).startswith(address.partition("#")[0])


def test_the_blocks_are_blocks():
    assert ipaddress.ip_address("2001:200::1") not in ipaddress.ip_network("2001::/23")
    assert is_public("2001:200::1")

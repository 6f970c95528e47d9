"""Where a webhook may lead: every known way to make a server call something inside its own network is refused."""

from ipaddress import ip_address

import pytest

from notify.addresses import BadAddress
from notify.webhook_urls import is_public, read_webhook

REFUSED_ADDRESSES = {
    "this network": "0.0.0.0",
    "private 10": "10.1.2.3",
    "carrier NAT": "100.64.0.1",
    "Alibaba metadata": "100.100.100.200",
    "loopback": "127.0.0.1",
    "loopback elsewhere": "127.8.8.8",
    "link-local": "169.254.1.1",
    "metadata": "169.254.169.254",
    "private 172": "172.31.255.255",
    "IETF, Oracle metadata": "192.0.0.192",
    "documentation": "203.0.113.7",
    "private 192": "192.168.0.1",
    "benchmarks": "198.19.0.1",
    "multicast": "224.0.0.251",
    "reserved": "250.1.1.1",
    "broadcast": "255.255.255.255",
    "Azure's own": "168.63.129.16",
    "IPv6 nothing": "::",
    "IPv6 loopback": "::1",
    "IPv4-mapped loopback": "::ffff:127.0.0.1",
    "IPv4-mapped public": "::ffff:8.8.8.8",
    "IPv4-compatible": "::7f00:1",
    "NAT64 of metadata": "64:ff9b::a9fe:a9fe",
    "NAT64 local": "64:ff9b:1::a00:1",
    "6to4 of private": "2002:a00:1::1",
    "Teredo": "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "documentation v6": "2001:db8::1",
    "newer documentation v6": "3fff::1",
    "unique local": "fd12:3456::1",
    "AWS metadata v6": "fd00:ec2::254",
    "link-local v6": "fe80::1",
    "link-local v6 with zone": "fe80::1%eth0",
    "site-local": "fec0::1",
    "multicast v6": "ff02::1",
}


@pytest.mark.parametrize("text", REFUSED_ADDRESSES.values(), ids=REFUSED_ADDRESSES.keys())
def test_ssrf_an_address_inside_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1"])
def test_an_address_of_the_world_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "http://hooks.example.com/x",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "//hooks.example.com/",
        "https:///x",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://１２７.0.0.1/",
        "https://127。0。0。1/",
        "https://localhost/",
        "https://localhost./",
        "https://api.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://router.home.arpa/",
        "https://intranet/",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com@10.0.0.1/",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com/#part",
        "https://-a.example.com/",
        "https://a..example.com/",
        "https://hooks.example.com/" + "a" * 500,
        "",
        "not a url",
    ],
)
def test_ssrf_a_url_that_does_not_name_a_public_server_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        read_webhook(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://hooks.example.com/a b",
        "https://hooks.example.com/x HTTP/1.1\r\nHost: inside",
        "https://hooks.example.com/x\x00y",
        "https://hooks.example.com/\u2028",
        "https://hooks.example.com/a\r\nX-Evil:1",
        "https://hooks.example\t.com/",
        "https://hooks\u200b.example.com/",
        'https://hooks.example.com/"',
        "https://hooks.example.com\\@10.0.0.1/",
        "https://hooks.exa mple.com/",
    ],
)
def test_header_injection_through_the_url_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        read_webhook(text)


def test_one_service_has_one_spelling() -> None:
    wanted = "https://xn--bcher-kva.example.com/a?b=c"
    assert str(read_webhook(" https://BÜCHER.example.com.:443/a?b=c ")) == wanted
    assert str(read_webhook("https://hooks.example.com")) == "https://hooks.example.com/"
    assert str(read_webhook("https://hooks.example.com:8443/x")) == "https://hooks.example.com:8443/x"
    assert str(read_webhook("https://hooks.example.com/@me")) == "https://hooks.example.com/%40me"

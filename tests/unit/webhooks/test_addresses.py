"""Which addresses a webhook may reach."""

import pytest

from processors.webhooks.addresses import forbidden, loopback

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.215.14", "99.255.255.255", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
    "168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
    "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001:80b::200e", "2001:4860:4860::8888",
    "2001:200::1", "2620:4e:ffff::1",
]  # fmt: skip

REFUSED = [
    pytest.param("127.0.0.1", id="loopback"),
    pytest.param("127.255.255.254", id="loopback, far end"),
    pytest.param("0.0.0.0", id="unspecified"),
    pytest.param("0.1.2.3", id="this network"),
    pytest.param("10.0.0.1", id="private, 10"),
    pytest.param("10.255.255.255", id="private, 10, far end"),
    pytest.param("172.16.0.1", id="private, 172"),
    pytest.param("172.31.255.255", id="private, 172, far end"),
    pytest.param("192.168.1.1", id="private, 192"),
    pytest.param("169.254.169.254", id="metadata of most clouds"),
    pytest.param("169.254.170.2", id="credentials of containers"),
    pytest.param("169.254.0.1", id="link-local"),
    pytest.param("100.64.0.1", id="carrier-grade NAT"),
    pytest.param("100.127.255.255", id="carrier-grade NAT, far end"),
    pytest.param("100.100.100.200", id="Alibaba's metadata"),
    pytest.param("168.63.129.16", id="Azure's own"),
    pytest.param("192.0.0.192", id="Oracle's metadata"),
    pytest.param("192.0.2.1", id="documentation 1"),
    pytest.param("198.51.100.1", id="documentation 2"),
    pytest.param("203.0.113.1", id="documentation 3"),
    pytest.param("192.88.99.1", id="relays of 6to4"),
    pytest.param("198.18.0.1", id="benchmarks"),
    pytest.param("198.19.255.255", id="benchmarks, far end"),
    pytest.param("224.0.0.1", id="multicast"),
    pytest.param("239.255.255.255", id="multicast, far end"),
    pytest.param("240.0.0.1", id="reserved"),
    pytest.param("255.255.255.255", id="broadcast"),
    pytest.param("::1", id="loopback, IPv6"),
    pytest.param("::", id="unspecified, IPv6"),
    pytest.param("::127.0.0.1", id="IPv4-compatible"),
    pytest.param("::ffff:127.0.0.1", id="IPv4-mapped loopback"),
    pytest.param("::ffff:10.0.0.1", id="IPv4-mapped private"),
    pytest.param("::ffff:8.8.8.8", id="IPv4-mapped public: an address has one form here"),
    pytest.param("::ffff:0:127.0.0.1", id="IPv4-translated"),
    pytest.param("64:ff9b::a9fe:a9fe", id="NAT64 of the metadata"),
    pytest.param("64:ff9b::808:808", id="NAT64 of a public one"),
    pytest.param("64:ff9b:1::a00:1", id="NAT64, local"),
    pytest.param("2002:7f00:1::", id="6to4"),
    pytest.param("2001:0:7f00:1::", id="Teredo"),
    pytest.param("2001:2::1", id="benchmarks, IPv6"),
    pytest.param("2001:db8::1", id="documentation, IPv6"),
    pytest.param("3fff::1", id="documentation, new"),
    pytest.param("fc00::1", id="unique local"),
    pytest.param("fd00:ec2::254", id="Amazon's metadata, IPv6"),
    pytest.param("fd20:ce::254", id="Google's metadata, IPv6"),
    pytest.param("fe80::1", id="link-local, IPv6"),
    pytest.param("fe80::1%eth0", id="link-local with its interface"),
    pytest.param("2606:4700::1111%eth0", id="bound to an interface"),
    pytest.param("fec0::1", id="site-local"),
    pytest.param("ff02::1", id="multicast, IPv6"),
    pytest.param("100::1", id="discard only"),
    pytest.param("5f00::1", id="segment routing"),
    pytest.param("4000::1", id="not given to anybody"),
    pytest.param("", id="nothing"),
    pytest.param("localhost", id="a name"),
    pytest.param("0177.0.0.1", id="octal"),
    pytest.param("2130706433", id="one number"),
    pytest.param("127.1", id="short"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_called(address: str) -> None:
    assert forbidden(address) is None


@pytest.mark.parametrize("address", REFUSED)
def test_all_others_are_refused(address: str) -> None:
    assert forbidden(address)


def test_loopback_is_this_machine_in_its_plain_forms_alone() -> None:
    assert all(map(loopback, ["127.0.0.1", "127.8.8.8", "::1"]))
    assert not any(map(loopback, ["::ffff:127.0.0.1", "0.0.0.0", "::", "10.0.0.1", "8.8.8.8", "localhost", ""]))

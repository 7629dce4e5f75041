"""Where a URL leads, as far as its text tells."""

import pytest

from processors.webhooks.target import MAX_URL_CHARS, Target, Unusable, target_of


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://example.org", "example.org", 443),
        ("https://example.org:443/a/b?c=d&e=%20", "example.org", 443),
        ("https://Hooks.EXAMPLE.org/", "hooks.example.org", 443),
        ("https://example.org./", "example.org.", 443),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443),
        ("https://93.184.215.14/x", "93.184.215.14", 443),
        ("https://[2606:4700::1111]/x", "2606:4700::1111", 443),
        ("https://example.org/?u=http://other@x", "example.org", 443),
        ("https://a_b.example.org/", "a_b.example.org", 443),
    ],
)
def test_a_good_url_leads_somewhere(url: str, host: str, port: int) -> None:
    found = target_of(url)
    assert isinstance(found, Target)
    assert (found.host, found.port, found.local) == (host, port, False)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("", id="nothing"),
        pytest.param("example.org/hook", id="no scheme"),
        pytest.param("//example.org/hook", id="no scheme, with slashes"),
        pytest.param("http://example.org/", id="plain http"),
        pytest.param("ftp://example.org/", id="ftp"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("gopher://example.org/", id="gopher"),
        pytest.param("https:///hook", id="no host"),
        pytest.param("https://", id="nothing behind the scheme"),
        pytest.param("https:example.org", id="no slashes"),
        pytest.param("https://user@example.org/", id="a user"),
        pytest.param("https://user:word@example.org/", id="a password"),
        pytest.param("https://@example.org/", id="an empty user"),
        pytest.param("https://example.org@10.0.0.1/", id="a host that poses as a user"),
        pytest.param("https://example.org:8443/", id="another port"),
        pytest.param("https://example.org:22/", id="ssh's port"),
        pytest.param("https://example.org:0/", id="port 0"),
        pytest.param("https://example.org:99999/", id="no port"),
        pytest.param("https://example.org:x/", id="a port of letters"),
        pytest.param("https://exa mple.org/", id="a space"),
        pytest.param("https://example.org/\r\nHost: evil", id="a line end"),
        pytest.param("https://example.org\\@evil.example/", id="a backslash"),
        pytest.param("https://example.org/\x00", id="a null"),
        pytest.param("https://b\u00fccher.example/", id="not ASCII"),
        pytest.param("https://\uff11\uff12\uff17.0.0.1/", id="full-width digits"),
        pytest.param("https://exam\u2100ple.org/", id="what NFKC would take apart"),
        pytest.param("https://2130706433/", id="one number"),
        pytest.param("https://0x7f000001/", id="one hexadecimal number"),
        pytest.param("https://127.1/", id="a short address"),
        pytest.param("https://0177.0.0.1/", id="octal"),
        pytest.param("https://0x7f.0.0.1/", id="hexadecimal"),
        pytest.param("https://127.0.0.1.1/", id="five numbers"),
        pytest.param("https://a.0x/", id="a name that ends in a number"),
        pytest.param("https://10.0.0.1./", id="an address with a dot behind it"),
        pytest.param("https://[::1%25lo]/", id="an address with its interface"),
        pytest.param("https://[::1/", id="half an address"),
        pytest.param("https://[not:an:address]/", id="no address"),
        pytest.param("https://-example.org/", id="a hyphen at the start"),
        pytest.param("https://example..org/", id="an empty label"),
        pytest.param(f"https://{'a' * 64}.org/", id="a long label"),
        pytest.param(f"https://example.org/{'a' * MAX_URL_CHARS}", id="a long URL"),
        pytest.param("https://exa%6dple.org/", id="an escape in the host"),
        pytest.param("https://*.example.org/", id="a star"),
    ],
)
def test_a_bad_url_leads_nowhere_and_the_reason_says_what_to_do(url: str) -> None:
    found = target_of(url)
    assert isinstance(found, Unusable), found
    assert found.reason.startswith(("the URL", "the port"))


def test_other_ports_are_allowed_by_name() -> None:
    found = target_of("https://example.org:8443/", ports=frozenset({443, 8443}))
    assert isinstance(found, Target)
    assert found.port == 8443
    assert isinstance(target_of("https://example.org/", ports=frozenset({8443})), Unusable)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1234/x", "http://localhost:80/", "http://[::1]:9/"])
def test_plain_http_is_local_and_needs_the_setting(url: str) -> None:
    assert isinstance(target_of(url), Unusable)
    found = target_of(url, insecure_local=True)
    assert isinstance(found, Target)
    assert found.local


def test_the_setting_opens_nothing_else() -> None:
    for url in ("ftp://localhost/", "https://localhost:8443/", "http://me@localhost/"):
        assert isinstance(target_of(url, insecure_local=True), Unusable)


def test_a_fragment_is_not_sent() -> None:
    found = target_of("https://example.org/a#b")
    assert isinstance(found, Target)
    assert found.url == "https://example.org/a"

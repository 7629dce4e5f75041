import pytest

from processors.providers.sessions import Session


@pytest.mark.parametrize(
    ("address", "proxy"),
    [
        ("https://api.example.com/v1", "http://proxy:3128"),
        ("http://api.example.com/v1", None),
        ("https://inside.local/v1", None),
        ("http://127.0.0.1:8000/v1", None),
    ],
)
def test_the_proxy_of_the_environment_is_used_where_it_is_meant(monkeypatch, address, proxy):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "inside.local")
    assert Session(address, connections=1).proxy == proxy

"""Which addresses of the web lead to somewhere that may be connected to."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from tools.web_site import Names
from vivavoce.domain.content import RetrievalStatus
from vivavoce.errors import ConfigError
from vivavoce.tools.ssrf import (
    PageError,
    PageRefused,
    SsrfGuard,
    UrlContextSettings,
    is_public,
    read_url_settings,
    system_resolver,
)

PUBLIC = "93.184.215.14"
CLOSED = [
    *("0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1"),
    *("127.255.255.254", "169.254.1.1", "169.254.169.254", "172.16.0.1", "172.31.255.255"),
    *("192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("168.63.129.16", "100.100.100.200"),
    *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "100::1", "fe80::1"),
    *("fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "ff0e::1"),
    *("2001::1", "2001:2::1", "2001:10::1", "2001:db8::1", "3fff::1", "2002:7f00:1::"),
    *("2002:808:808::", "2001:0:808:808::1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1"),
    *("64:ff9b::169.254.169.254", "64:ff9b:1::8.8.8.8", "5f00::1", "4000::1"),
]
OPEN = [PUBLIC, "8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111",
        "2001:4860:4860::8888", "64:ff9b::8.8.8.8"]  # fmt: skip


def guard(names: Names | None = None, **settings: object) -> SsrfGuard:
    return SsrfGuard(UrlContextSettings(**settings), names or Names())  # type: ignore[arg-type]


async def refusal(url: str, names: Names, **settings: object) -> str:
    with pytest.raises(PageRefused) as caught:
        await guard(names, **settings).check_url(url)
    return caught.value.problem


@pytest.mark.parametrize("address", CLOSED)
async def test_a_name_that_leads_to_a_closed_address_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    assert "network" in await refusal("http://page.example/", Names(page_example=[[address]]))


@pytest.mark.parametrize("address", [each for each in CLOSED if "%" not in each])
async def test_a_closed_address_itself_is_refused(address: str) -> None:
    names = Names()
    host = f"[{address}]" if ":" in address else address
    assert "network" in await refusal(f"https://{host}/", names)
    assert not names.asked


@pytest.mark.parametrize("address", OPEN)
async def test_a_public_address_is_what_will_be_connected_to(address: str) -> None:
    names = Names(page_example=[[address], ["127.0.0.1"]])
    target = await guard(names).check_url("https://page.example/a?b=c#d")
    assert target.addresses == (ip_address(address),)
    assert (target.host, target.port) == ("page.example", 443)
    assert str(target.url) == "https://page.example/a?b=c"
    assert names.asked == ["page.example"]


@pytest.mark.parametrize("inside", ["10.0.0.1", "::1", "169.254.169.254"])
async def test_one_closed_address_among_many_refuses_the_name(inside: str) -> None:
    many = [PUBLIC, "8.8.8.8", "1.1.1.1", "9.9.9.9", "2606:4700::1111", inside]
    await refusal("http://page.example/", Names(page_example=[many]))
    target = await guard(Names(page_example=[many[:-1]])).check_url("http://page.example/")
    assert [str(each) for each in target.addresses] == many[:4]


@pytest.mark.parametrize("answer", [[], ["not an address"]])
async def test_a_name_without_an_address_is_an_error_and_not_a_danger(answer: list[str]) -> None:
    for names in (Names(), Names(page_example=[answer])):
        with pytest.raises(PageError) as caught:
            await guard(names).check_url("http://page.example/")
        assert caught.value.status is RetrievalStatus.ERROR


@pytest.mark.parametrize(
    "url",
    [
        *("", "page.example", "//page.example/", "http:page.example", "http:///x", "http://"),
        *(
            "ftp://page.example/",
            "file:///etc/passwd",
            "gopher://page.example/",
            "ws://page.example",
        ),
        *("javascript:alert(1)", "data:text/html,x", " http://page.example/", "x" * 3000),
        *("http://user@page.example/", "http://user:pw@page.example/", "http://@page.example/"),
        *("http://page.example\\@evil.example/", "http://evil.example@page.example:80/"),
        *(
            "http://page.example:80@evil.example/",
            "http://p%61ge.example/",
            "http://pa ge.example/",
        ),
        *("http://page.exam\tple/", "http://page.example\r\n/", "http://page.example./"),
        *("http://page..example/", "http://-page.example/", "http://page.example:８０/"),
        *("http://page.example:+80/", "http://page.example:8_0/", "http://page.example:99999/"),
        *("http://page.example:22/", "https://page.example:8443/", "http://page.example:0/"),
        *("http://127.1/", "http://0x7f.0.0.1/", "http://0x7f000001/", "http://2130706433/"),
        *("http://017700000001/", "http://0177.0.0.1/", "http://127.0.0.0x1/", "http://1.2.3.4.5/"),
        *(
            "http://127.0.0.1./",
            "http://１２７.0.0.1/",
            "http://①②⑦.0.0.1/",
            "http://127。0。0。1/",
        ),
        *(
            "http://[::1%25lo]/",
            "http://[fe80::1%eth0]/",
            "http://[::ffff:7f00:1]/",
            "http://[::1/",
        ),
        *(
            "http://[page.example]/",
            "http://[127.0.0.1]/",
            "http://[v1.x]/",
            "http://pаge..example/",
        ),
        *("http://localhost/", "http://LOCALHOST/", "http://x.localhost/", "http://printer/"),
        *("http://nas.local/", "http://metadata.google.internal/", "http://router.lan/"),
        *("http://x.home.arpa/", "http://x.onion/", "http://ｌocalhost/", "http://ⓛocal.internal/"),
        *("http://page.example;x/", "http://page.example,evil.example/", "http://$(id).example/"),
    ],
)
async def test_odd_spellings_are_refused_before_anybody_is_asked(url: str) -> None:
    names = Names()
    await refusal(url, names)
    assert not names.asked


async def test_a_name_of_another_script_is_the_name_that_dns_knows() -> None:
    names = Names()
    names.answers["xn--mnchen-3ya.example"] = [[PUBLIC]]
    target = await guard(names).check_url("https://MÜNCHEN.example/größe?q=ä")
    assert target.host == "xn--mnchen-3ya.example"
    assert target.url.raw_path == b"/gr%C3%B6%C3%9Fe?q=%C3%A4"


async def test_only_listed_hosts_are_read_where_a_list_is_given() -> None:
    names = Names(docs_example=[[PUBLIC]], a_b_example=[[PUBLIC]], nas_local=[[PUBLIC]])
    listed = guard(names, allow_hosts=("docs.example", "*.b.example", "nas.local", "8.8.8.8"))
    for host in ("docs.example", "a.b.example", "nas.local", "8.8.8.8"):
        assert (await listed.check_url(f"http://{host}/")).host == host
    for host in ("example", "b.example", "a.docs.example", "xb.example", "evil.example", "1.1.1.1"):
        with pytest.raises(PageRefused, match="not among those"):
            await listed.check_url(f"http://{host}/")
    assert names.asked == ["docs.example", "a.b.example", "nas.local"]


async def test_a_listed_host_still_may_not_lead_inside() -> None:
    names = Names(nas_local=[["192.168.0.2"]])
    assert "network" in await refusal("http://nas.local/", names, allow_hosts=("nas.local",))


async def test_opened_networks_are_open_and_the_metadata_in_them_is_not() -> None:
    nets = tuple(ip_network(each) for each in ("0.0.0.0/0", "::/0"))
    names = Names(page_example=[["10.0.0.1", "fd00::1", "64:ff9b::10.0.0.2"]])
    opened = guard(names, allow_private=nets)
    assert len((await opened.check_url("http://page.example/")).addresses) == 3
    secret = ["169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200",
              "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254%1"]  # fmt: skip
    for address in secret:
        await refusal("http://page.example/", Names(page_example=[[address]]), allow_private=nets)


async def test_ports_are_those_of_the_settings() -> None:
    names = Names(page_example=[[PUBLIC]])
    assert (await guard(names, ports=(8080,)).check_url("http://page.example:8080/")).port == 8080
    assert "port" in await refusal("http://page.example/", names, ports=(8080,))


@pytest.mark.integration
async def test_this_machines_resolver_gives_addresses() -> None:
    assert list(await system_resolver("127.0.0.1", 80)) == ["127.0.0.1"]


def test_without_a_word_the_public_web_is_open_in_small_amounts() -> None:
    settings = read_url_settings({})
    assert settings == UrlContextSettings()
    assert (settings.allow_hosts, settings.allow_private, settings.ports) == ((), (), (80, 443))


def test_everything_can_be_set() -> None:
    table = {
        "allow_hosts": ["Docs.Example.org", "*.example.org", "münchen.example", "::1", "10.0.0.1"],
        "allow_private": ["10.1.0.0/16", "fd00::/8", "127.0.0.1"],
        "ports": [80, 8080],
        "max_bytes": 1000,
        "max_characters": 100,
        "time_s": 2,
        "max_urls": 20,
    }
    assert read_url_settings(table) == UrlContextSettings(
        ("docs.example.org", "*.example.org", "xn--mnchen-3ya.example", "::1", "10.0.0.1"),
        (ip_network("10.1.0.0/16"), ip_network("fd00::/8"), ip_network("127.0.0.1/32")),
        (80, 8080),
        1000,
        100,
        2.0,
        20,
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("allow_hosts", each) for each in ("a.org", ["*"], ["*.*.org"], ["a.*"], [1], [])),
        *(("allow_hosts", [each]) for each in ("http://a.org", "a.org/x", "a.org:80", "127.1", "")),
        *(("allow_hosts", [each]) for each in ("*.10.0.0.1", "u@a.org", "a b.org", "*.")),
        *(("allow_private", each) for each in ("10.0.0.0/8", ["10.0.0.1/8"], ["all"], [10])),
        *(("ports", each) for each in (80, [], ["80"], [0], [65536], [True])),
        *(
            (key, each)
            for key in ("max_bytes", "max_characters")
            for each in (0, -1, "9", True, 1.5)
        ),
        *(("time_s", each) for each in (0, -1, "9", True, 601)),
        *(("max_urls", each) for each in (0, 21, "5")),
        ("robots", True),
    ],
)
def test_what_can_not_be_meant_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"`{key}`"):
        read_url_settings({key: value})


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_url_settings({"ports": [0], "time_s": 0, "colour": "red", "allow_hosts": ["*"]})
    for key in ("ports", "time_s", "colour", "allow_hosts"):
        assert f"`{key}`" in caught.value.problem

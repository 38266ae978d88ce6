import pytest

from bridge.errors import Refusal
from bridge.front.targets import TARGET_BYTES, deep_link, next_target, relay_target

ORIGIN = "https://learn.example.com"
PATHS = [
    "/",
    "/courses/x",
    "/courses/x/",
    "/courses/cybersecurity-101?tenant=acme&lang=de",
    "/courses/sp%C3%A4nisch-1",
    "/files/a%20b.pdf",
    "/search?q=a//b&u=https://other.example/x",
    "/player?id=a%2Fb",
    "/a;b?c;d",
    "/@somebody/story",
    "/list?filter[]=a|b&x={y}^`~",
    "/100%",
    "/?next=/_bridge/logout",
    "/_bridges",
    "/x/_bridge",
    "/files//a",
    "/" + "x" * (TARGET_BYTES - 1),
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_on_this_origin_pass(path: str) -> None:
    assert next_target(path) == path
    assert relay_target(path, ORIGIN) == path
    assert relay_target(ORIGIN + path, ORIGIN) == path


@pytest.mark.parametrize("value", [None, ""])
def test_no_target_is_the_start_page(value: str | None) -> None:
    assert next_target(value) == relay_target(value, ORIGIN) == "/"


def test_a_fragment_is_dropped() -> None:
    assert next_target("/courses/x?a=b#c") == "/courses/x?a=b"
    assert next_target("/#//evil.example") == "/"
    assert relay_target(f"{ORIGIN}/courses/x#y", ORIGIN) == "/courses/x"


@pytest.mark.parametrize(
    "fragment",
    [
        "#c",
        "#/lesson/3?x=1",
        "#%C3%BC%20",
        "#t=1:20&a=b",
        "#!it's",
        "#:~:text=x",
        "#//evil.example",
        "#%23",
        "#@/_bridge/",
    ],
)
def test_a_fragment_is_kept_where_that_is_wanted(fragment: str) -> None:
    assert next_target(f"/courses/x?a=b{fragment}", fragment=True) == f"/courses/x?a=b{fragment}"
    assert next_target(f"/courses/x?a=b{fragment}") == "/courses/x?a=b"
    assert relay_target(f"{ORIGIN}/x{fragment}", ORIGIN, fragment=True) == f"/x{fragment}"


def test_a_target_without_a_fragment_is_the_same_where_one_would_be_kept() -> None:
    assert [next_target(path, fragment=True) for path in PATHS] == PATHS
    assert next_target("/x#", fragment=True) == "/x"
    assert next_target("", fragment=True) == "/"


@pytest.mark.parametrize(
    "fragment", ['#"', "#<", "#>", "#\\", "#a#b", "##", "# ", "#\x7f", "#\x00", "#\r\nX: y", "#\u00fc"]
)
def test_a_fragment_of_other_characters_is_refused_where_it_would_be_kept(fragment: str) -> None:
    with pytest.raises(Refusal):
        next_target(f"/x{fragment}", fragment=True)
    assert relay_target(f"/x{fragment}", ORIGIN, fragment=True) == "/"


def test_the_bound_holds_with_the_fragment_in_it() -> None:
    longest = "/x#" + "y" * (TARGET_BYTES - 3)
    assert next_target(longest, fragment=True) == longest
    with pytest.raises(Refusal):
        next_target(longest + "y", fragment=True)


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("HTTPS://Learn.Example.COM/Courses/X", "/Courses/X"),
        ("https://learn.example.com:443/courses/x", "/courses/x"),
        ("https://learn.example.com", "/"),
        ("https://learn.example.com?a=b", "/?a=b"),
        ("https://learn.example.com#a", "/"),
        ("cookie:1234", "/"),
        ("_b3f1d0", "/"),
    ],
)
def test_relay_states_that_identity_providers_send(value: str, target: str) -> None:
    assert relay_target(value, ORIGIN) == target


def test_an_origin_with_a_port_is_told_from_one_without() -> None:
    assert relay_target("http://127.0.0.1:8080/x", "http://127.0.0.1:8080") == "/x"
    assert relay_target("http://127.0.0.1:8081/x", "http://127.0.0.1:8080") == "/"
    assert relay_target("http://127.0.0.1/x", "http://127.0.0.1:8080") == "/"
    assert relay_target("http://[::1]:8080/x", "http://[::1]:8080") == "/x"


@pytest.mark.parametrize(
    ("target", "link"),
    [
        (b"/courses/x?tenant=acme", "/courses/x?tenant=acme"),
        (b"/courses/sp%C3%A4nisch-1", "/courses/sp%C3%A4nisch-1"),
        ("/courses/spänisch-1?q=ü".encode(), "/courses/sp%C3%A4nisch-1?q=%C3%BC"),
        (b'/x?a="b"&c=<d>&e=f\\g', "/x?a=%22b%22&c=%3Cd%3E&e=f%5Cg"),
        (b"/courses/x?" + b"q" * TARGET_BYTES, "/courses/x"),
        (b"/" + b"x" * TARGET_BYTES, "/"),
        (b"/_bridge/logout", "/"),
        (b"//evil.example", "/"),
        (b"/\\evil.example", "/"),
        (b"/%00", "/"),
    ],
)
def test_deep_links_keep_the_resource_and_never_leave(target: bytes, link: str) -> None:
    assert deep_link(target) == link
    assert next_target(link) == link


def test_a_refusal_names_no_part_of_the_target() -> None:
    with pytest.raises(Refusal) as refused:
        next_target("https://evil.example/secret")
    assert "secret" not in refused.value.reason

"""Whatever path is let through, servers of every kind find the same access and course in it.

The servers here are models of how well-known ones treat a path, written without the bridge's own code: each takes the
path as it came and returns what its router sees, or None where it answers 400.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.errors import Code, Refusal
from bridge.front.paths import PathDecider
from bridge.front.routes import RouteTable
from bridge.settings.routes import CompletionRule, Route

ROUTES = [
    Route(path="/static/**", access="public"),
    Route(path="/courses/{course}/**", access="course"),
    Route(path="/player", access="course", course_parameter="id"),
    Route(path="/", access="optional"),
    Route(path="/**", access="learner"),
]
COMPLETIONS = [CompletionRule(method="POST", path="/courses/{course}/finish")]

Asked = tuple[str, str | None, bool]
Server = Callable[[str], Asked | None]


def route(path: str, *, ignore_case: bool = False, decode: bool = False) -> Asked:
    """The shipped example as regular expressions: access, course, whether it completes."""
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    if re.fullmatch(r"/_bridge(/.*)?", path, flags):
        return "bridge", None, False
    if re.fullmatch(r"/static(/.*)?", path, flags):
        return "public", None, False
    if course := re.fullmatch(r"/courses/([^/]+)(/.*)?", path, flags):
        completes = re.fullmatch(r"/courses/[^/]+/finish/?", path, flags) is not None
        return "course", unquote(course[1]) if decode else course[1], completes
    if re.fullmatch(r"/player/?", path, flags):
        return "course by id", None, False
    return ("optional" if path == "/" else "learner"), None, False


def dots(path: str, *, escaped: bool = False, beyond_root: bool = True) -> str | None:
    """A stack of segments; None where `..` leaves the root and the server minds."""
    stack: list[str] = []
    segments = path.split("/")[1:]
    for place, segment in enumerate(segments):
        plain = re.sub("%2e", ".", segment, flags=re.IGNORECASE) if escaped else segment
        last = place == len(segments) - 1
        if plain == "..":
            if not stack and not beyond_root:
                return None
            stack = stack[:-1]
        elif plain != ".":
            stack.append(segment)
            continue
        if last:
            stack.append("")
    return "/" + "/".join(stack)


def merged(path: str) -> str:
    return re.sub("/+", "/", path)


def decoded(path: str) -> str:
    return unquote_to_bytes(path).decode("utf-8", "surrogateescape")


def nginx(path: str) -> Asked | None:
    """Decodes, merges slashes and resolves dots in one pass; leaving the root or a NUL is a 400."""
    clean = dots(merged(decoded(path)), beyond_root=False)
    return None if clean is None or "\0" in clean else route(merged(clean))


def nginx_unmerged(path: str) -> Asked | None:
    clean = dots(decoded(path), beyond_root=False)
    return None if clean is None else route(clean)


def nginx_then_decoding_application(path: str) -> Asked | None:
    clean = dots(merged(decoded(path)))
    return route(merged(dots(decoded(clean)) or "/")) if clean else None


def apache_keeping_slashes(path: str) -> Asked | None:
    """`AllowEncodedSlashes NoDecode`, and an application that decodes what its route caught."""
    kept = decoded(re.sub("%2f", "%252F", path, flags=re.IGNORECASE))
    clean = dots(merged(kept), beyond_root=False)
    if clean is None or "%" in clean.replace("%2F", ""):
        return None
    return route(clean, decode=True)


def tomcat(path: str) -> Asked | None:
    """Cuts parameters off each segment, then decodes, then normalises."""
    clean = dots(merged(decoded(re.sub(";[^/]*", "", path))), beyond_root=False)
    return None if clean is None or "\\" in clean else route(clean)


def jetty(path: str) -> Asked | None:
    """As it was for long: resolves dots before it decodes, and cuts parameters on the way."""
    clean = dots(re.sub(";[^/]*", "", path), escaped=True)
    return route(decoded(clean)) if clean else None


def cutting_at_the_first_semicolon(path: str) -> Asked | None:
    return route(merged(decoded(path.partition(";")[0])))


def spring_decoding_then_cutting(path: str) -> Asked | None:
    return route(merged(dots(re.sub(";[^/]*", "", decoded(path))) or "/"))


def iis(path: str) -> Asked | None:
    """Knows `%uXXXX`, takes backslashes for slashes, and no case for another."""
    wide = re.sub("%u([0-9a-f]{4})", lambda escape: chr(int(escape[1], 16)), path, flags=re.IGNORECASE)
    text = unquote(wide).replace("\\", "/")
    return route(merged(dots(merged(text)) or "/"), ignore_case=True)


def werkzeug(path: str) -> Asked | None:
    return route(merged(decoded(path)))


def express(path: str) -> Asked | None:
    """Routes the path as it came, without case, and decodes what the route caught."""
    return route(path, ignore_case=True, decode=True)


def express_not_strict(path: str) -> Asked | None:
    return route(re.sub("/+$", "", path) or "/", ignore_case=True, decode=True)


def whatwg_url(path: str) -> Asked | None:
    """`new URL(request.url, base).pathname`: two slashes begin a host, escaped dots are dots."""
    own = re.sub("^//+[^/]*", "", path) or "/"
    return route(dots(own, escaped=True) or "/", decode=True)


def envoy_unescaping_slashes(path: str) -> Asked | None:
    clean = dots(re.sub("%2f", "/", path, flags=re.IGNORECASE), escaped=True)
    return route(merged(clean), decode=True) if clean else None


def python_urlsplit(path: str) -> Asked | None:
    try:
        return route(unquote(urlsplit(path).path) or "/")
    except ValueError:
        return None


def parsing_again_what_was_decoded(path: str) -> Asked | None:
    return route(merged(re.split("[?#]", decoded(path))[0]))


def c_string(path: str) -> Asked | None:
    return route(merged(decoded(decoded(path).partition("\0")[0]).partition("\0")[0]))


SERVERS: list[Server] = [
    nginx,
    nginx_unmerged,
    nginx_then_decoding_application,
    apache_keeping_slashes,
    tomcat,
    jetty,
    cutting_at_the_first_semicolon,
    spring_decoding_then_cutting,
    iis,
    werkzeug,
    express,
    express_not_strict,
    whatwg_url,
    envoy_unescaping_slashes,
    python_urlsplit,
    parsing_again_what_was_decoded,
    c_string,
]

WORDS = [
    "static",
    "courses",
    "x",
    "player",
    "finish",
    "_bridge",
    "files",
    "a",
    "STATIC",
    "Courses",
    "%73tatic",
    "fini%73h",
]
SEPARATORS = ["/", "/", "/", "/", "/", "//", "%2f", "%252F", "/./", "/%2e/", ";v/", ";/", "%3b/", "%u002f"]
CLIMBS = [
    "..",
    "..",
    "%2e%2e",
    ".%2E",
    "..;",
    "..;v=1",
    "%2e%2e;",
    "..%3b",
    "%252e%252e",
    "..%2f..",
    "%u002e%u002e",
    ".",
]
ENDS = ["", "", "", "/", "//", ";", ";v=1", "%3F", "%23", "%2500", "%253f", "/.", "/..", "%2f"]

piece = st.one_of(st.sampled_from(WORDS), st.sampled_from(WORDS), st.sampled_from(CLIMBS))
steps = st.lists(st.tuples(st.sampled_from(SEPARATORS), piece), min_size=1, max_size=7)
paths = st.builds(
    lambda steps, end: re.sub("^(?!/)", "/", "".join(map("".join, steps))) + end, steps, st.sampled_from(ENDS)
)


def test_what_is_let_through_is_the_same_to_every_server() -> None:
    decide = PathDecider(RouteTable(ROUTES, COMPLETIONS)).decide_path
    passed: set[str] = set()
    refused: set[str] = set()

    @example("/static/a%2Fb/%2e%2e/%2e%2e/courses/x")
    @example("/static/%2e%2e/../../courses/%2e%2e/static/x")
    @example("/foo%2Fbar/%2e%2e/static/z")
    @settings(
        max_examples=2000, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(paths)
    def hold(path: str) -> None:
        try:
            match = decide(path.encode())
        except Refusal as refusal:
            assert refusal.code is Code.PATH_AMBIGUOUS
            refused.add(path)
            return
        passed.add(path)
        access = "course by id" if match.course_parameter else match.access
        for server in SERVERS:
            asked = server(path)
            assert asked in {None, (access, match.course, bool(match.completions))}, f"{server.__name__} reads {path!r}"

    hold()
    assert min(len(passed), len(refused)) > 100
    assert {re.split("[/%;]", path)[1] for path in passed} >= {"static", "courses", "files", "_bridge"}


@settings(max_examples=500, derandomize=True, database=None, deadline=None)
@given(st.binary(max_size=60).map(lambda tail: b"/" + tail))
def test_any_bytes_get_an_answer(path: bytes) -> None:
    decide = PathDecider(RouteTable(ROUTES, COMPLETIONS)).decide_path
    try:
        assert decide(path) == decide(path)
    except Refusal as refusal:
        assert refusal.code is Code.PATH_AMBIGUOUS

import pytest

from bridge.errors import Code, Refusal
from bridge.front.queries import COURSE_CHARACTERS, PARAMETERS, course, parameter
from bridge.front.routes import Match

PLAYER = Match("course", course_parameter="id")


def asked(query: str, method: bytes = b"GET", name: str = "id") -> str:
    """The course, or the code of the refusal."""
    try:
        return str(course(Match("course", course_parameter=name), method, query.encode("utf-8", "surrogateescape")))
    except Refusal as refusal:
        return f"{refusal.code}"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("id=x", "x"),
        ("a=b&id=x&c", "x"),
        ("id=x&", "x"),
        ("&&id=x", "x"),
        ("id=sp%C3%A4nisch", "spänisch"),
        ("id=spänisch", "spänisch"),
        ("id=a+b", "a b"),
        ("id=a%2Bb", "a+b"),
        ("id=a=b", "a=b"),
        ("id=a%26id%3Db", "a&id=b"),
        ("id=X", "X"),
        ("idx=1&id=x&kid=2&i.d=3", "x"),
        ("q=a;b&id=x", "x"),
        ("q=%zz%ff&id=x", "x"),
        ("id=100%25", "100%"),
        ("id=" + "x" * COURSE_CHARACTERS, "x" * COURSE_CHARACTERS),
    ],
)
def test_a_course_named_once_and_plainly(query: str, found: str) -> None:
    assert asked(query) == asked(query, b"HEAD") == found


@pytest.mark.parametrize(
    "query", ["", "a=b", "id=", "id", "id=&a=b", "idx=x", "=x", "id=" + "x" * (COURSE_CHARACTERS + 1)]
)
def test_no_course(query: str) -> None:
    assert asked(query) == Code.COURSE_UNKNOWN


@pytest.mark.parametrize(
    "query",
    [
        "id=x&id=y",
        "id=x&id=x",
        "id=x&id=",
        "id=x&id",
        "id=&id=x",
        "ID=x",
        "Id=x",
        "id=x&ID=y",
        "%69d=x",
        "id=x&%69d=y",
        "id=x&%49%44=y",
        "id[]=x",
        "id=x&id[]=y",
        "id=x&id%5B%5D=y",
        "id=x&id[0]=y",
        "id=x&id[a][b]=y",
        "id=x&[id]=y",
        "id=x&id]=y",
        "id=x& id=y",
        "id=x&+id=y",
        "id=x&id+=y",
        "id=x&%20id%20=y",
        "id=x&i d=y",
        "id=x&%09id=y",
        "id=x&%C2%A0id=y",
        "id=x&%00id=y",
        "id=x&id%00z=y",
        "id=x&id%ff=y",
        "id=x&?id=y",
        "id=x&\u0131d=y",
        "id=x&\u0130D=y",
        "id=x;id=y",
        "id=x;y",
        "id=x;",
        "a=b;id=x",
        "a=b&amp;id=x",
        "id=x&a=b;id=y",
        "id=x#y",
        "id=x&a#&id=y",
        "id=x\x00",
        "a=\x01&id=x",
        "id=%00",
        "id=x%0a",
        "id=x%7F",
        "id=%",
        "id=%4",
        "id=%zz",
        "id=%u0061",
        "id=%ff",
        "id=%C0%AF",
        "id=\udcff",
        "&".join(["a=b"] * PARAMETERS) + "&id=x",
        ";".join(["a=b"] * PARAMETERS) + "&id=x",
    ],
)
def test_a_course_that_could_be_read_otherwise(query: str) -> None:
    assert asked(query) == Code.PATH_AMBIGUOUS


@pytest.mark.parametrize("query", ["course_id=x&course.id=y", "course_id=x&course+id=y", "course_id=x&course[id=y"])
def test_names_that_php_turns_into_the_parameter(query: str) -> None:
    assert asked(query, name="course_id") == Code.PATH_AMBIGUOUS
    assert asked("course_id=x&courseid=y", name="course_id") == "x"


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"get", b"QUERY"])
def test_a_course_in_the_query_serves_get_and_head(method: bytes) -> None:
    assert asked("id=x", method) == Code.PATH_AMBIGUOUS


def test_a_course_in_the_path_serves_every_method_and_ignores_the_query() -> None:
    assert course(Match("course", "x"), b"POST", b"id=y&id=z") == "x"
    with pytest.raises(Refusal) as refused:
        course(Match("course", "x" * (COURSE_CHARACTERS + 1)), b"GET", b"")
    assert refused.value.code is Code.COURSE_UNKNOWN


@pytest.mark.parametrize("access", ["public", "optional", "learner", "bridge"])
def test_off_the_course_routes_the_query_is_nobodys_business(access: str) -> None:
    assert course(Match(access), b"POST", b"id=%ff&id=x") is None


@pytest.mark.parametrize(
    ("query", "tenant"),
    [
        ("", None),
        ("a=b", None),
        ("tenant=", None),
        ("tenant", None),
        ("tenant=acme", "acme"),
        ("a=b&tenant=acme&c=d;e", "acme"),
        ("tenant=acme&tenant=acme", "acme"),
        ("tenant=acme&tenant=", "acme"),
        ("Tenant=acme", None),
        ("subtenant=acme", None),
        ("tenant=ac%6De", "acme"),
        ("q=%ff&tenant=acme", "acme"),
        ("&".join(["a=b"] * 1000), None),
    ],
)
def test_the_tenant_of_a_link(query: str, tenant: str | None) -> None:
    assert parameter(query.encode(), "tenant") == tenant


@pytest.mark.parametrize(
    "query",
    [
        "tenant=acme&tenant=globex",
        "tenant=acme;tenant=globex",
        "tenant=acme;x",
        "tenant=acme&a=b;tenant=globex",
        "tenant=%ff",
        "tenant=acme%00",
        "tenant=%",
        "tenant=acme&" + "&".join(["a=b"] * PARAMETERS),
    ],
)
def test_a_tenant_that_could_be_read_otherwise(query: str) -> None:
    with pytest.raises(Refusal) as refused:
        parameter(query.encode(), "tenant")
    assert refused.value.code is Code.PATH_AMBIGUOUS

"""Catalogues: what is read of them, and every problem with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.courses import catalogue, table
from bridge.courses.catalogue import read_catalogue
from bridge.courses.offer import offer
from bridge.errors import SettingsError
from bridge.settings.load import load

CASES = yaml.safe_load((Path(__file__).parent / "catalogues.yaml").read_text(encoding="utf-8"))
CONFIG = Path(__file__).parents[2] / "config"


def problems(path: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_catalogue(path)
    return list(map(str, caught.value.problems))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_bad_catalogue_is_refused_with_file_and_line(tmp_path: Path, case: dict[str, Any]) -> None:
    ending = "yaml" if "yaml" in case else "csv"
    path = tmp_path / f"catalog.{ending}"
    path.write_text(case[ending], encoding="utf-8", newline="")
    found = problems(path)
    assert len(found) == len(case["problems"]), found
    for problem, expected in zip(found, case["problems"], strict=True):
        assert problem.startswith(f"{path}:{expected}"), problem
        assert problem.isprintable()


TITLE = "Éthique\u00a0: 100\u202f% utile \U0001f469\u200d\U0001f4bb"
YAML = f"""
courses:
  - origin_id: a
    title: '{TITLE}'
    description: |
      One.
      Two.
    duration: 1h30m
    languages: [en, de-DE, en]
    thumbnail: https://cdn.example/a.png
  - {{origin_id: "no", title: 12:30, path: /courses/no, languages: en}}
"""
CSV = f"""origin_id,title,description,duration,languages,thumbnail,path
a,{TITLE},"One.
Two.",90,"en, de-DE en",https://cdn.example/a.png,
no,12:30,,,en,,/courses/no
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", YAML.encode()),
        ("a.yml", b"\xef\xbb\xbf" + YAML.encode()),
        ("a.csv", CSV.encode()),
        ("a.CSV", b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode()),
        ("a.csv", CSV.replace(",", ";").encode()),
        ("a.csv", CSV.replace('"en, de-DE en"', "en de-DE").replace(",", "\t").encode()),
    ],
    ids=["yaml", "yaml with a mark", "commas", "crlf with a mark", "semicolons", "tabs"],
)
def test_the_same_catalogue_however_it_is_written(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    first, second = read_catalogue(tmp_path / name).entries
    assert first.title == TITLE
    assert (first.description, first.duration) == ("One.\nTwo.", 90)
    assert first.languages == ("en", "de-DE")
    assert (second.origin_id, second.title, second.path, second.languages) == ("no", "12:30", "/courses/no", ("en",))
    assert (second.description, second.duration, second.thumbnail, second.url) == (None, None, None, None)


@pytest.mark.parametrize(("written", "minutes"), [("45", 45), ("45m", 45), ("1h30m", 90), ("2h", 120), ("0h5m", 5)])
def test_durations_are_minutes(tmp_path: Path, written: str, minutes: int) -> None:
    (tmp_path / "a.csv").write_text(f"origin_id,title,duration\na,A,{written}\n")
    assert read_catalogue(tmp_path / "a.csv").entries[0].duration == minutes


def test_nothing_in_a_catalogue_is_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in it goes to others: whoever writes it must not be able to send the API key along."""
    monkeypatch.setenv("KOMBO_API_KEY", "hunter2")
    text = "${KOMBO_API_KEY} ${file:/etc/hostname} $${"
    (tmp_path / "a.yaml").write_text(f"courses: [{{origin_id: a, title: '{text}'}}]")
    assert read_catalogue(tmp_path / "a.yaml").entries[0].title == text


@pytest.mark.parametrize(
    ("field", "longest"),
    [
        ("origin_id", catalogue.LONGEST_ORIGIN_ID),
        ("title", catalogue.LONGEST_TITLE),
        ("description", catalogue.LONGEST_DESCRIPTION),
        ("path", catalogue.LONGEST_LINK),
        ("url", catalogue.LONGEST_LINK),
        ("thumbnail", catalogue.LONGEST_LINK),
    ],
)
def test_every_text_has_a_longest(tmp_path: Path, field: str, longest: int) -> None:
    for length, fits in ((longest, True), (longest + 1, False)):
        values = {"origin_id": "a", "title": "A"} | {field: "x" * length}
        (tmp_path / "a.yaml").write_text(yaml.safe_dump({"courses": [values]}, width=100_000))
        if fits:
            assert getattr(read_catalogue(tmp_path / "a.yaml").entries[0], field) == "x" * length
        else:
            [problem] = problems(tmp_path / "a.yaml")
            assert len(problem) < 400
            assert f"at most {longest} characters" in problem


def test_a_catalogue_has_a_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (catalogue, table):
        monkeypatch.setattr(module, "MAX_ROWS", 3)
    rows = [f"{n},T" for n in range(4)]
    (tmp_path / "a.csv").write_text("origin_id,title\n" + "\n".join(rows))
    assert problems(tmp_path / "a.csv") == [f"{tmp_path}/a.csv:5: more than 3 rows: split the file"]
    (tmp_path / "a.yaml").write_text("courses:\n" + "".join(f"  - {{origin_id: '{n}', title: T}}\n" for n in range(4)))
    assert problems(tmp_path / "a.yaml") == [f"{tmp_path}/a.yaml:5: more than 3 courses: split the file"]


@pytest.mark.parametrize(("file", "languages"), [("a.csv", '"{}"'), ("a.yaml", "{}"), ("a.yaml", "[{}]")])
def test_languages_are_counted_before_each_is_looked_at(tmp_path: Path, file: str, languages: str) -> None:
    """Else a file of 4 MiB takes gigabytes for the faults of each."""
    header = (
        "origin_id,title,languages\na,A,"
        if file.endswith("csv")
        else "courses:\n- origin_id: a\n  title: A\n  languages: "
    )
    (tmp_path / file).write_text(header + languages.format(", ".join(["x"] * (catalogue.MOST_LANGUAGES + 1))) + "\n")
    [problem] = problems(tmp_path / file)
    assert problem.endswith("write at most 50 languages")


def test_a_first_line_that_names_no_columns_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",".join(f"c{n}" for n in range(table.MOST_CELLS + 1)))
    [problem] = problems(tmp_path / "a.csv")
    assert problem.startswith(f"{tmp_path}/a.csv:1: the first line has 101 cells: write the names of the columns, of ")


@pytest.mark.parametrize("name", ["a.yaml", "a.csv"])
def test_files_that_are_no_text_of_ours(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert "there is no file" in problems(path)[0]
    path.write_bytes("origin_id,title\na,Übung".encode("latin-1"))
    assert "is not UTF-8: save it as UTF-8" in problems(path)[0]
    path.write_bytes("origin_id,title\na,A\n".encode("utf-16"))
    assert "is not UTF-8" in problems(path)[0]
    path.write_bytes(b"#" * (table.MAX_FILE + 1))
    assert "is larger than 4096 KiB" in problems(path)[0]
    path.write_bytes(b"[" * 1_000_000 if name.endswith("csv") else b"courses: [" + b"a," * 1_000_000)
    assert len(problems(path)) < 5


def test_the_files_name_says_how_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert problems(tmp_path / "a.json") == [
        f"{tmp_path}/a.json:1: the file's name says no format: write .yaml or .csv behind it"
    ]


def test_the_shipped_example_gives_links() -> None:
    environ = {"BRIDGE_SECRET": "a-secret-of-thirty-two-bytes-or-more"}
    environ |= {"KOMBO_API_KEY": "the-api-key", "KOMBO_WEBHOOK_SECRET": "the-webhook-secret"}
    configuration = load(CONFIG / "bridge.yaml", environ)
    offered = offer(read_catalogue(CONFIG / "catalog.yaml"), configuration, configuration.tenants["acme"])
    assert [each.item.course_url for each in offered] == [
        "https://acme.learn.example.com/courses/cybersecurity-101",
        "https://acme.learn.example.com/courses/data-privacy-basics/start",
        "https://acme.learn.example.com/player?id=code-of-conduct",
    ]

"""`docs/settings.md` and the JSON Schemas, from the types of the settings: `make reference` writes them.

`python -m bridge.settings.reference` writes what has changed and names it. What is committed is what this makes; a test
finds where it is not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.settings.load import RELOADED
from bridge.settings.schema import File, rendered, written
from bridge.settings.written import JsonSchema

ROOT = Path(__file__).parents[2]

_HEAD = """\
# Settings

Every setting of both kinds of file, as the bridge's own types have them: this page is generated (`make reference`), and
so are the [JSON Schemas](../config/schema) by which an editor completes and checks them. `kombo-bridge check` says of
each mistake where it is and what to write instead. A commented example of both files is in [config](../config).

- `${NAME}` takes an environment variable and `${file:PATH}` a file's content without its final newline, in any text;
  `$${` is a literal `${`.
- A relative path starts at the folder of the file that names it.
- A duration is a whole number and a unit: `90s`, `15m`, `12h`, `30d`.
- Of `bridge.yaml`, a change takes effect by itself within seconds where the last column says *at once*, and at the next
  start where it says *restart*; the log names what waits for one. Tenant files always take effect at once.
"""

_TITLES = {
    File.SERVICE: "## `bridge.yaml`: the service",
    File.TENANT: "## `tenants/SLUG.yaml`: one end-customer",
}
_COLUMNS = "| setting | what it says | write | default | a change |\n|---|---|---|---|---|"


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the reference. `path` is dotted; `block` is the schema of what stands below it, if anything does."""

    file: File
    path: str
    schema: JsonSchema
    required: bool
    block: JsonSchema | None

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def anchor(self) -> str:
        return f"{self.file}-{self.path.replace('.', '-')}"

    @property
    def description(self) -> str:
        return str(self.schema.get("description", ""))

    @property
    def restart(self) -> bool:
        return self.file is File.SERVICE and self.path.partition(".")[0] not in RELOADED

    @property
    def default(self) -> str:
        if self.required:
            return "must be written"
        default = self.schema.get("default")
        return "" if default in (None, [], {}) else f"`{_yaml(default)}`"

    @property
    def kind(self) -> str:
        """What to write, in words."""
        return _kind(self.schema)

    @property
    def example(self) -> str | None:
        """As it may stand in the file, on one line."""
        example = _example(self.schema)
        return None if example is None else f"{self.name}: {example}"


def settings(file: File) -> Iterator[Setting]:
    """Every setting of a kind of file, each block before what stands in it."""
    whole = written(file)
    yield from _settings(file, whole["$defs"], whole, "")


def page() -> str:
    """`docs/settings.md`."""
    return "\n".join([_HEAD, *(part for file in File for part in _file(file))])


def generated() -> Mapping[Path, str]:
    """Every file that is made from the types, and what it says."""
    schemas = {ROOT / "config" / "schema" / f"{file}.json": rendered(file) for file in File}
    return {ROOT / "docs" / "settings.md": page(), **schemas}


def _settings(file: File, blocks: Mapping[str, Any], within: JsonSchema, path: str) -> Iterator[Setting]:
    for name, one in within["properties"].items():
        block = _block(one, blocks)
        own = f"{path}.{name}" if path else name
        yield Setting(file, own, one, name in within.get("required", ()), block)
        if block:
            yield from _settings(file, blocks, block, own)


def _block(one: JsonSchema, blocks: Mapping[str, Any]) -> JsonSchema | None:
    """What stands below a setting, be it one of a list, or instead of a word."""
    found = [one, one.get("items", {}), *one.get("anyOf", ()), *one.get("items", {}).get("anyOf", ())]
    names = (each["$ref"].rpartition("/")[2] for each in found if "$ref" in each)
    return next((blocks[name] for name in names), None)


def _file(file: File) -> Iterator[str]:
    every = list(settings(file))
    yield f"{_TITLES[file]}\n"
    yield _table([each for each in every if "." not in each.path])
    for each in every:
        if each.block:
            within = [one for one in every if one.path.rpartition(".")[0] == each.path]
            yield f'### <a id="{each.anchor}"></a>`{each.path}` in `{_name(file)}`\n'
            yield f"{each.block.get('description', '')}{_several(each)}\n"
            yield _table(within)


def _name(file: File) -> str:
    return "bridge.yaml" if file is File.SERVICE else "tenants/SLUG.yaml"


def _several(setting: Setting) -> str:
    return " The setting is a list of these." if setting.schema.get("type") == "array" else ""


def _table(rows: list[Setting]) -> str:
    return "\n".join([_COLUMNS, *map(_row, rows), ""])


def _row(setting: Setting) -> str:
    change = "restart" if setting.restart else "at once"
    name = f"[`{setting.name}`](#{setting.anchor})" if setting.block else _named(setting)
    said = setting.description + (f" Example: `{setting.example}`" if setting.example else "")
    cells = (name, said, setting.kind, setting.default, change)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _named(setting: Setting) -> str:
    return f'<a id="{setting.anchor}"></a>`{setting.name}`'


def _kind(one: JsonSchema) -> str:
    if one.get("type") == "array":
        return f"list: {_kind(one['items'])}"
    if "additionalProperties" in one and isinstance(one["additionalProperties"], dict):
        return f"header names, each with {_kind(one['additionalProperties'])}"
    if "anyOf" in one:
        words = [f"`{word}`" for each in one["anyOf"] for word in each.get("enum", ())]
        below = ["what is described below"] if any("$ref" in each for each in one["anyOf"]) else []
        return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:], *below]))
    return "what is described below" if "$ref" in one else str(one["title"])


def _example(one: JsonSchema) -> str | None:
    """Of words and flags what is not the default; else the default, or the first example of the setting or its kind."""
    if one.get("title") == "true or false":
        return "false" if one.get("default") else "true"
    words = [word for each in one.get("anyOf", ()) for word in each.get("enum", ()) if word != one.get("default")]
    if words and "examples" not in one:
        return str(words[0])
    if one.get("default") not in (None, [], {}):
        return _yaml(one["default"])
    if examples := one.get("examples"):
        return str(examples[0])
    if one.get("type") == "array":
        inner = _example(one["items"])
        return None if inner is None else f"[{inner}]"
    return None


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def main() -> None:
    """Write every generated file that says something else."""
    for path, text in generated().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT), file=sys.stderr)


if __name__ == "__main__":
    main()

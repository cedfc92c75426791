"""Writes `docs/soma_sdk.md` and `docs/soma_models.md` from the packages' docstrings and types.

A test compares them; `SOMA_UPDATE_DOCS=1 python/test -k reference` writes them anew.
"""

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import griffe

PYTHON = Path(__file__).resolve().parent
DOCS = PYTHON.parent / "docs"

HEADS = {
    "soma_sdk": """# soma_sdk, name by name

The network from Python. [The interfaces](interfaces.md#the-network) have it on one page;
[its README](../python/soma_sdk/README.md) says what it promises. Why the ledger says no is a class
of `soma_sdk.rejections` for each reason, listed in [rejections.md](rejections.md).
""",
    "soma_models": """# soma_models, name by name

The model in PyTorch and in Flax. [The interfaces](interfaces.md#3-python) have it on one page;
[python/README.md](../python/README.md) shows it at work. `soma_models.v1.torch` and
`soma_models.v1.flax` have the same names.
""",
}
MODULES = {
    "soma_sdk": {
        "soma_sdk",
        "soma_sdk.amounts",
        "soma_sdk.auto_update",
        "soma_sdk.errors",
        "soma_sdk.networks",
        "soma_sdk.strategies",
    },
    "soma_models": {
        "soma_models",
        "soma_models.v1.configs",
        "soma_models.v1.flax",
        "soma_models.v1.flax.strategies",
        "soma_models.v1.sigreg",
        "soma_models.v1.strategies",
        "soma_models.v1.tokenizer",
        "soma_models.v1.torch",
        "soma_models.v1.torch.strategies",
        "soma_models.v1.weights",
    },
}
"""What people import."""
PARTS = {
    "soma_sdk": {
        *(f"soma_sdk.auto_update.{part}" for part in ("contract", "journal", "rounds")),
        "soma_sdk.client",
        "soma_sdk.rejections",
        "soma_sdk.scoring",
        "soma_sdk.views",
    },
    "soma_models": {
        "soma_models.errors",
        "soma_models.v1",
        "soma_models.v1.layout",
        "soma_models.v1.rope",
        "soma_models.v1.saving",
        *(
            f"soma_models.v1.{name}.{part}"
            for name in ("flax", "torch")
            for part in ("loss", "model", "sigreg", "train")
        ),
        *(
            f"soma_models.v1.training{part}"
            for part in ("", ".log", ".progress", ".settings", ".text")
        ),
    },
}
"""What is behind those: nobody's to import, or shown elsewhere."""

Member = griffe.Object | griffe.Alias
WIDTH = 110


def pages() -> dict[Path, str]:
    """Return each page's text by its file."""
    return {DOCS / f"{name}.md": page(name) for name in MODULES}


def page(package: str) -> str:
    """Return a package's page."""
    folder = PYTHON / package / "src"
    root = griffe.load(
        package, search_paths=[str(folder)], resolve_aliases=True, allow_inspection=False
    )
    found = dict(public(cast("griffe.Module", root)))
    if unknown := found.keys() - MODULES[package] - PARTS[package]:
        raise ValueError(f"reference.py does not say whether people import {sorted(unknown)}")
    text = [HEADS[package]]
    shown: set[str] = set()
    for path in sorted(MODULES[package]):
        text += module(found[path], shown)
    return "\n".join(text).rstrip() + "\n"


def public(module: griffe.Module) -> Iterator[tuple[str, griffe.Module]]:
    """Yield a module and those in it that have no underscore, by their path."""
    yield module.path, module
    for name, part in module.modules.items():
        if not name.startswith("_") and not part.is_alias:
            yield from public(part)


def module(module: griffe.Module, shown: set[str]) -> Iterator[str]:
    """Yield what a module's part of the page says. What was shown under another name is named."""
    yield f"## {module.path}\n"
    yield from docstring(module)
    for name in names(module):
        member = module.members[name]
        target = member.final_target if isinstance(member, griffe.Alias) else member
        if target.path in shown:
            yield f"### {name}\n\nThe same as above.\n"
            continue
        shown.add(target.path)
        if isinstance(target, griffe.Class):
            yield from class_(name, target)
        elif isinstance(target, griffe.Function):
            yield from function("###", name, name, target)
        elif isinstance(target, griffe.Attribute):
            yield f"### {name}\n"
            yield from value(target)


def names(module: griffe.Module) -> list[str]:
    """Return what a module offers, in its order."""
    if module.exports is not None:
        exported = {str(name) for name in module.exports}
        order = [name for name in module.members if name in exported]
        return sorted(order, key=lambda name: (name == "__version__", not name[0].isupper(), name))
    return [
        name
        for name, member in module.members.items()
        if not name.startswith("_")
        and not member.is_alias
        and not member.is_module
        and documented(member)
    ]


def documented(member: Member) -> bool:
    """Whether it says what it is."""
    return member.docstring is not None


def class_(name: str, shown: griffe.Class) -> Iterator[str]:
    """Yield a class: what it is, its values, its calls."""
    bases = [str(base) for base in shown.bases if not str(base).startswith("_")]
    yield f"### {name}\n"
    made = shown.members.get("__init__")
    answers = shown.path.startswith(("soma_sdk.views.", "soma_sdk.scoring."))
    if isinstance(made, griffe.Function) and made.parameters and not answers:
        yield code(signature(name, made, made=True))
    if bases:
        yield f"Is a {', '.join(f'`{base}`' for base in bases)}.\n"
    yield from docstring(shown)
    members = {each: shown.members[each] for each in shown.members} | {
        each: member for each, member in inherited(shown).items() if each not in shown.members
    }
    rows = []
    for each, member in members.items():
        if isinstance(member, griffe.Attribute) and not each.startswith("_") and is_told(member):
            says = " ".join(paragraphs(member))
            rows.append(f"| `{each}` | {cell(str(member.annotation or ''))} | {says} |")
    if rows:
        yield "| value | type | |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    for each, member in members.items():
        if isinstance(member, griffe.Function) and not each.startswith("_") and each != "read":
            yield from function("####", f"{name}.{each}", each, member)


def is_told(value: griffe.Attribute) -> bool:
    """Whether a value is meant for others: says what it is, or its type."""
    return value.docstring is not None or value.annotation is not None


def inherited(shown: griffe.Class) -> dict[str, griffe.Object]:
    """Return what a class has from private bases."""
    found: dict[str, griffe.Object] = {}
    for base in shown.resolved_bases:
        if isinstance(base, griffe.Class) and base.name.startswith("_"):
            found |= {
                name: member
                for name, member in base.members.items()
                if isinstance(member, griffe.Object)
            }
    return found


def cell(annotation: str) -> str:
    """Return a type for a table's cell."""
    return f"`{annotation}`".replace("|", "\\|") if annotation else ""


def value(shown: griffe.Attribute) -> Iterator[str]:
    """Yield a constant or a name for a type."""
    if shown.value is not None and len(str(shown.value)) < WIDTH:
        yield code(f"{shown.name} = {shown.value}")
    yield from docstring(shown)


def function(level: str, title: str, name: str, shown: griffe.Function) -> Iterator[str]:
    """Yield a call."""
    yield f"{level} {title}\n"
    yield code("\n".join(signature(name, form) for form in shown.overloads or [shown]))
    yield from docstring(shown)


def code(text: str) -> str:
    """Return a block of code."""
    return f"```python\n{text}\n```\n"


def signature(name: str, shown: griffe.Function, *, made: bool = False) -> str:
    """Return a call as it is declared."""
    parts: list[str] = []
    star = False
    for parameter in shown.parameters:
        if parameter.name in {"self", "cls"}:
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not star:
            parts.append("*")
            star = True
        mark = {
            griffe.ParameterKind.var_positional: "*",
            griffe.ParameterKind.var_keyword: "**",
        }.get(parameter.kind, "")
        star = star or mark == "*"
        part = mark + parameter.name
        if parameter.annotation is not None:
            part += f": {parameter.annotation}"
        if parameter.default is not None and not mark:
            part += (
                f" = {parameter.default}"
                if parameter.annotation is not None
                else f"={parameter.default}"
            )
        parts.append(part)
    kind = "" if made else "async def " if "async" in shown.labels else "def "
    for label in shown.labels & {"staticmethod", "classmethod"}:
        kind = f"@{label}\n{kind}"
    returns = "" if made or shown.returns is None else f" -> {shown.returns}"
    line = f"{kind}{name}({', '.join(parts)}){returns}"
    if len(line.splitlines()[-1]) <= WIDTH:
        return line
    return f"{kind}{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"


SECTION = re.compile(r"^(Raises|Returns|Yields|Args):$")


def paragraphs(shown: Member) -> Iterable[str]:
    """Return a docstring's lines."""
    return [] if shown.docstring is None else inspect.cleandoc(shown.docstring.value).splitlines()


def docstring(shown: Member) -> Iterator[str]:
    """Yield a docstring as Markdown: sections become lists, examples code."""
    lines: list[str] = []
    in_section = in_code = False
    for line in paragraphs(shown):
        if in_code and not line.startswith(">>>"):
            lines.append("```")
            in_code = False
        if SECTION.match(line):
            lines += [line, ""]
            in_section = True
        elif line.startswith(">>>"):
            lines += ([] if in_code else ["```python"]) + [line.removeprefix(">>> ")]
            in_code = True
        elif in_section and line.startswith("    "):
            inner = line[4:]
            lines.append(inner if inner.startswith(" ") else f"- {inner}")
        else:
            in_section = in_section and not line
            lines.append(line)
    if in_code:
        lines.append("```")
    if lines:
        yield "\n".join(lines).rstrip() + "\n"

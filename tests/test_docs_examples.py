"""Every shell and Python example of the documentation runs, page by page, in one folder.

A block that is not run says why, in a comment directly above it: `<!-- not run: takes hours -->`.
Its commands, options and settings are still looked up. Blocks without a language are no examples.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lictor.codec.cli.main import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MARK = re.compile(r"<!-- not run: (?P<reason>\S.*) -->")


@dataclass
class Block:
    """A fenced block: its language, first line in the page, text, and why it is not run."""

    page: Path
    line: int
    language: str
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").split("\n")
    start = None
    for i, line in enumerate(lines):
        if not line.lstrip().startswith("```"):
            continue
        if start is None:
            start = i
            continue
        mark = MARK.fullmatch(lines[start - 1].strip()) if start else None
        language = lines[start].strip().removeprefix("```")
        text = "\n".join(lines[start + 1 : i])
        yield Block(page, start + 2, language, text, mark["reason"] if mark else "")
        start = None
    assert start is None, f"{page}: a block that does not end"


def commands(block: Block) -> Iterator[tuple[list[str], int]]:
    """The commands of a shell block as words, with redirections as words of their own.

    And the status of each: 0, or what its comment says, as in `# ends with status 1`.
    """
    pending = ""
    for line in block.text.split("\n"):
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        words = shlex.shlex(pending, posix=True, punctuation_chars="<>|&;")
        words.whitespace_split = True
        try:
            found = list(words)
        except ValueError:  # a quotation that goes on
            pending += "\n"
            continue
        status = re.search(r"# .*ends with status (\d)", pending)
        pending = ""
        if found:
            yield found, int(status[1]) if status else 0
    assert not pending, f"{block}: does not end: {pending!r}"


@dataclass
class Call:
    """A command without what a shell takes from it."""

    words: list[str]
    environment: dict[str, str]
    stdin: bytes
    stdout: str


def understood(words: list[str]) -> Call:
    call = Call([], {}, b"", "")
    rest = iter(words)
    for word in rest:
        if not call.words and re.match(r"[A-Z_]+=", word):
            name, _, value = word.partition("=")
            call.environment[name] = value
        elif word == "<":
            call.stdin = Path(next(rest)).read_bytes()
        elif word == ">":
            call.stdout = next(rest)
        else:
            assert not set(word) & set("<>|&;"), f"this is no shell; it does not know {word!r}"
            call.words.append(word)
    return call


def run_shell(block: Block) -> None:
    for words, expected in commands(block):
        call = understood(words)
        if call.words[0] == "lictor":
            run = CliRunner(env=call.environment)
            done = run.invoke(cli, call.words[1:], input=call.stdin, prog_name="lictor")
            status, output, stdout = done.exit_code, done.output, done.stdout_bytes
            if done.exception and not isinstance(done.exception, SystemExit):
                raise done.exception
        else:
            assert call.words[0] == "python", f"{block}: mark what runs {call.words[0]}"
            command = [sys.executable, *call.words[1:]]
            environment = os.environ | call.environment
            made = subprocess.run(command, input=call.stdin, env=environment, capture_output=True)
            status, stdout = made.returncode, made.stdout
            output = (made.stdout + made.stderr).decode()
        assert status == expected, f"{block}: {shlex.join(call.words)}: status {status}\n{output}"
        if call.stdout:
            Path(call.stdout).write_bytes(stdout)


def look_up(block: Block) -> None:
    """Of a block that is not run: are there such commands, options, settings, extras, targets?"""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"])
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words, _ in commands(block):
        words = [w for w in words if not re.match(r"[A-Z_]+=", w)]
        if words[0] == "lictor":
            parse(words[1:])
        elif words[:2] == ["pip", "install"]:
            named = {
                e for w in words for found in re.findall(r"\[(.+)\]", w) for e in found.split(",")
            }
            assert named <= extras, f"{block}: no extra {named - extras}"
        elif words[0] == "make":
            assert {w for w in words[1:] if "=" not in w} <= set(targets), str(block)
        elif words[0] == "python" and words[1].endswith(".py"):
            assert (ROOT / words[1]).exists(), f"{block}: no {words[1]}"


def parse(words: list[str]) -> None:
    """Let click look at a call of lictor, without running it."""
    command: click.Command = cli
    context = None
    while isinstance(command, click.Group):
        # As click.Group.invoke does it, where a group may put in its default command.
        context = command.make_context(command.name, list(words), parent=context)
        _, found, words = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert found is not None
        command = found
    context = command.make_context(command.name, list(words), parent=context)
    if "settings" in context.params:
        assert command.name
        given = {w.partition("=")[0] for w in context.params["inputs"] if re.match(r"\w+=", w)}
        assert given <= settings(command.name), f"no setting {given - settings(command.name)}"


@cache
def settings(command: str) -> set[str]:
    """The settings of a training command, as it lists them."""
    listed = CliRunner().invoke(cli, [command, "--settings"], prog_name="lictor").stdout
    return set(re.findall(r"^ *(\w+): ", listed, re.MULTILINE))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = spec_from_file_location("docs_fixtures", Path(__file__).with_name("docs_fixtures.py"))
    assert spec and spec.loader
    fixtures = module_from_spec(spec)
    spec.loader.exec_module(fixtures)
    folder = tmp_path_factory.mktemp("docs")
    fixtures.fill(folder)
    return folder


NEEDS = {"onnx.md": "onnxruntime"}
"""Packages that a page's examples need beyond what Lictor does."""

WITH_EXAMPLES = [p for p in PAGES if any(b.language in ("sh", "python") for b in blocks(p))]


@pytest.mark.slow
@pytest.mark.usefixtures("pillow_forgets")
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda p: str(p.relative_to(ROOT)))
def test_examples_run(page: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if page.name in NEEDS:
        pytest.importorskip(NEEDS[page.name])
    folder = tmp_path / "here"
    shutil.copytree(made, folder, symlinks=True)
    monkeypatch.chdir(folder)
    names: dict = {"__name__": "__example__"}
    for block in blocks(page):
        if block.reason or block.language not in ("sh", "python"):
            continue
        if block.language == "sh":
            run_shell(block)
        else:
            code = "\n" * (block.line - 1) + block.text  # so that errors name the page's line
            exec(compile(code, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_not_run_names_what_there_is(page: Path):
    for block in blocks(page):
        if block.reason and block.language == "sh":
            look_up(block)
        elif block.reason and block.language == "python":
            compile(block.text, str(block), "exec")
        elif block.language == "toml":
            assert set(tomllib.loads(block.text)) <= settings("train"), str(block)


def test_marks_stand_above_examples():
    """A mark above nothing, or misspelt, would skip nothing, or what was not meant."""
    for page in PAGES:
        marked = sum(bool(block.reason) for block in blocks(page))
        assert marked == len(re.findall(r"(?m)^\s*<!--\s*not[ -]run", page.read_text("utf-8"))), (
            page
        )
        assert all(b.language in ("", "sh", "python", "toml") for b in blocks(page)), page

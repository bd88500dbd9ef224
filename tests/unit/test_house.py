"""The rules of the house: where things are, who may import whom, and what is never committed."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import typer

from cli.app import app
from engine.settings import Settings
from schemas.commands import decode_command
from schemas.dead_letters import DeadLetterReason
from schemas.rejections import RejectionCode

ROOT = Path(__file__).parents[2]
LAYERS = ["schemas", "engine", "projections", "audit", "api", "cli"]
TOP_LEVEL = {
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "Dockerfile",
    "docker-compose.yml",
    "docs",
    "bench",
    "examples",
    "tests",
    *LAYERS,
}
# an auditor runs it alone, so it may not be split
ALONE = "audit/verify_bundle.py"
# what the decider is made of: it has to make sense without any machinery
PURE = {
    "engine/decider.py": {"schemas", "engine.lots", "engine.wallet"},
    "engine/lots.py": {"schemas", "engine.wallet"},
    "engine/wallet.py": {"schemas"},
}

# in tests, what is no text
_BYTES = ("fuzz/corpus", "fixtures")


@cache
def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return sorted({ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def _texts() -> list[tuple[str, str]]:
    return [
        (str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
        for path in _tracked()
        if not any(path.is_relative_to(ROOT / "tests" / data) for data in _BYTES)
    ]


def _modules(package: str) -> list[Path]:
    return [path for path in (ROOT / package).rglob("*.py") if "__pycache__" not in path.parts]


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_everything_has_its_place() -> None:
    found = {path.relative_to(ROOT).parts[0] for path in _tracked()}
    assert found >= TOP_LEVEL


@pytest.mark.parametrize("package", LAYERS)
def test_imports_run_one_way(package: str) -> None:
    above = LAYERS[LAYERS.index(package) + 1 :]
    for path in _modules(package):
        upwards = {name for name in _imports(path) if name.split(".")[0] in above}
        assert not upwards, f"{path.relative_to(ROOT)} imports {upwards}"


@pytest.mark.parametrize("module", PURE)
def test_the_core_imports_nothing_but_the_contract(module: str) -> None:
    allowed = PURE[module] | {"msgspec"} | sys.stdlib_module_names
    for name in _imports(ROOT / module):
        parents = {".".join(name.split(".")[:n]) for n in range(1, name.count(".") + 2)}
        assert parents & allowed, f"{module} imports {name}"
        assert not parents & {"asyncio", "random", "secrets", "time", "os", "socket"}, name


def test_what_an_auditor_runs_needs_python_alone() -> None:
    for name in _imports(ROOT / ALONE):
        assert name.split(".")[0] in sys.stdlib_module_names, name


def test_no_module_is_named_for_nothing() -> None:
    nothing = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base"}
    named = {path.stem for path in _tracked() if path.suffix == ".py"}
    assert not named & nothing


def test_modules_are_small() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in LAYERS
        for path in _modules(package)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 500
        and str(path.relative_to(ROOT)) != ALONE
    }
    assert long == {}


def test_nothing_is_left_to_do_and_nothing_prints() -> None:
    later = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "HA" + r"CK\b")))
    for name, text in _texts():
        assert not later.search(text), name
    for package in LAYERS:
        for path in _modules(package):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id != "print", f"{path.relative_to(ROOT)} prints"


def test_no_host_of_a_package_registry_is_named() -> None:
    hosts = [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("docker", "io"),
        ("docker", "com"),
        ("ghcr", "io"),
        ("quay", "io"),
        ("crates", "io"),
    ]
    named = re.compile("|".join(re.escape(".".join(host)) for host in hosts))
    for name, text in _texts():
        assert not named.search(text), name


def test_no_path_of_one_machine_is_named() -> None:
    paths = re.compile(r"(?<![\w.$}-])/(?:home|root|Users|work|mnt)/[\w.]")
    for name, text in _texts():
        found = paths.search(text)
        assert not found, f"{name}: {found and found[0]}"


def test_continuous_integration_runs_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert "make test" in script.read_text(encoding="utf-8")
    assert script.stat().st_mode & 0o111


def test_readme_names_the_two_commands() -> None:
    assert re.findall(r"^ {4}(make \w+)", _read("README.md"), re.MULTILINE)[:2] == [
        "make demo",
        "make test",
    ]


def _rows(name: str, first_cell: str) -> list[list[str]]:
    lines = _read(name).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_readme_tells_every_setting_and_its_default() -> None:
    told = {row[0].strip("`"): row[1].strip("`") for row in _rows("README.md", "setting")}
    settings = {
        f"WALLET_{name.upper()}": "" if field.default is None else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert told == settings


def test_no_document_names_a_setting_that_is_none() -> None:
    known = {f"WALLET_{name.upper()}" for name in Settings.model_fields}
    for name, text in _texts():
        if name.endswith((".md", ".yaml", ".yml", "Dockerfile")):
            named = set(re.findall(r"\bWALLET_[A-Z][A-Z_]*[A-Z]\b", text))
            assert named <= known, name


def _halting_codes() -> set[str]:
    return {
        str(node.args[0].value)
        for path in _modules("engine")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "ShardHaltedError"
        and isinstance(node.args[0], ast.Constant)
    }


@pytest.mark.parametrize(
    ("document", "codes"),
    [
        ("docs/operations.md", _halting_codes()),
        ("docs/operations.md", set(get_args(DeadLetterReason))),
        ("docs/architecture.md", set(get_args(RejectionCode))),
    ],
    ids=["what stops a shard", "why a record is a dead letter", "why a command is refused"],
)
def test_documents_explain_every_code(document: str, codes: set[str]) -> None:
    assert len(codes) > 5
    explained = {
        code
        for line in _read(document).splitlines()
        if line.startswith("| `")
        for code in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert codes <= explained


def _commands() -> set[str]:
    top = typer.main.get_command(app)
    assert isinstance(top, typer.core.TyperGroup)
    return {name for name, command in top.commands.items() if not command.hidden}


def test_readme_tells_every_command() -> None:
    told = {row[0].strip("`").split()[1] for row in _rows("README.md", "command")}
    assert told == _commands()


def test_commands_in_documents_are_commands() -> None:
    shown = [
        (name, line)
        for name, text in _texts()
        if name.endswith(".md")
        for line in re.findall(r"^ {4}(\{\"type\".+)$|`(\{\"type\".+?)`", text, re.MULTILINE)
    ]
    assert len(shown) > 5
    for name, line in shown:
        payload = "".join(line)
        assert decode_command(payload.encode()), name


def test_the_tours_file_is_made_of_commands() -> None:
    for line in _read("examples/tour.jsonl").splitlines():
        assert decode_command(line.encode())


def test_changelog_has_the_version() -> None:
    project = tomllib.loads(_read("pyproject.toml"))["project"]
    assert f"## [{project['version']}]" in _read("CHANGELOG.md")


def test_every_link_between_documents_leads_somewhere() -> None:
    for path in _tracked():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_test_that_a_document_names_is_there() -> None:
    for name, text in _texts():
        if name.endswith(".md"):
            for test in re.findall(
                r"`((?:tests/)?(?:unit|property|integration|acceptance)/[^`]+)`", text
            ):
                assert (ROOT / "tests" / test.removeprefix("tests/")).exists(), f"{name}: {test}"

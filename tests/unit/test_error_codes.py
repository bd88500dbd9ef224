"""The list of error codes: all that a request can be answered with, and no others."""

import ast
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args

import pytest

import api.app  # noqa: F401 - every module that may define an error
from api.contracts import contract_files, main
from api.docs.error_codes import ERROR_FAMILIES, error_codes
from api.errors import ApiError, ConflictError, ListenError, ServerFailedError
from schemas.rejections import RejectionCode

ROOT = Path(__file__).parents[2]
# what ends a process, and never a request
AT_THE_START = {ListenError, ServerFailedError}


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / "api").rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def _kinds(kind: type[ApiError] = ApiError) -> Iterator[type[ApiError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _kinds(below)


def _texts(node: ast.expr) -> set[str]:
    return {
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


def _codes_of_conflicts() -> set[str]:
    """What stands first in a ConflictError; where it is no text it is a rejection's code."""
    codes: set[str] = set()
    for path, tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ConflictError":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    codes.add(str(first.value))
                else:
                    assert ast.unparse(first).endswith("rejection.code"), path
    return codes


def _codes_set_by_hand() -> set[str]:
    codes: set[str] = set()
    for _, tree in _trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Assign):
                continue
            targets = [each for target in node.targets for each in ast.walk(target)]
            if any(isinstance(each, ast.Attribute) and each.attr == "code" for each in targets):
                codes |= _texts(node.value)
    return codes


def _codes_of_kinds() -> set[str]:
    return {kind.code for kind in _kinds() if "code" in vars(kind) and kind not in AT_THE_START}


def test_every_code_is_explained_and_no_other() -> None:
    raised = _codes_of_kinds() | _codes_of_conflicts() | _codes_set_by_hand()
    assert set(error_codes()) == raised | set(get_args(RejectionCode))


def test_an_error_without_a_code_of_its_own_is_never_raised() -> None:
    nameless = {kind.__name__ for kind in _kinds() if kind.code == ApiError.code}
    nameless -= {ConflictError.__name__}
    for path, tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                assert ast.unparse(raised) not in nameless, path


@pytest.mark.parametrize(
    "kind",
    [kind for kind in _kinds() if "code" in vars(kind) and kind not in AT_THE_START],
    ids=lambda kind: str(kind.__name__),
)
def test_codes_are_explained_with_their_status(kind: Any) -> None:
    assert error_codes()[kind.code].status == kind.status


def test_conflicts_are_explained_with_their_status() -> None:
    for code in _codes_of_conflicts() | set(get_args(RejectionCode)) - {"wallet_not_found"}:
        assert error_codes()[code].status == HTTPStatus.CONFLICT


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    codes = [each.code for family in ERROR_FAMILIES for each in family.codes]
    assert len(codes) == len(set(codes))
    for each in error_codes().values():
        assert each.meaning.endswith(".")
        assert each.remedy.endswith(".")


def test_the_file_is_current() -> None:
    for name, text in contract_files().items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, "run: make contracts"


def test_the_file_has_a_heading_for_each_code() -> None:
    lines = contract_files()["errors.md"].splitlines()
    headings = [line for line in lines if line.startswith("### ")]
    assert headings == [f"### `{code}`" for code in error_codes()]


def test_command_writes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == set(contract_files())
    assert capsys.readouterr().out == f"{tmp_path / 'errors.md'}\n"


def test_command_without_a_directory_says_how_it_is_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    assert "DIRECTORY" in capsys.readouterr().err

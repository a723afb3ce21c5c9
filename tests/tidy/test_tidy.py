"""The house's style as tests: what a reviewer would otherwise have to say again and again."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("switch", "settlement", "hsm_sim", "terminal_sim")
LINES_MAX = 400
MONEY_ROOMS = ("switch/domain", "switch/ledger", "settlement/domain", "settlement/steps", "settlement/files")
TOP_FOLDERS = {*PACKAGES, "tests", "config", ".ci"}


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


FILES = _tracked()
MODULES = [file for file in FILES if file.suffix == ".py"]
OURS = [file for file in MODULES if file.relative_to(ROOT).parts[0] in PACKAGES]


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_the_lists_are_not_empty() -> None:
    assert len(OURS) > 50
    assert len(FILES) > len(MODULES) > len(OURS)


@pytest.mark.parametrize("file", OURS, ids=_name)
def test_a_file_holds_one_idea_and_says_which(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES_MAX, f"longer than {LINES_MAX} lines: split it by idea"
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "a module says in its docstring what it is for"


@pytest.mark.parametrize("file", OURS, ids=_name)
def test_public_functions_and_classes_say_what_they_do(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    silent = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    if "migrations" in file.parts:
        silent = [name for name in silent if name != "upgrade"]  # the module's docstring says it
    assert not silent, f"without a docstring: {silent}"


@pytest.mark.parametrize("file", [f for f in OURS if _name(f).startswith(MONEY_ROOMS)], ids=_name)
def test_no_float_comes_near_money(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            pytest.fail(f"line {node.lineno}: a float literal")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            left = node.left
            if not (isinstance(left, ast.Name | ast.Attribute | ast.Call | ast.BinOp) and _is_path(node)):
                pytest.fail(f"line {node.lineno}: true division gives a float; money is divided with //")


def _is_path(node: ast.BinOp) -> bool:
    """pathlib's / has a string, an f-string or a name of a file on its right."""
    right = node.right
    return isinstance(right, ast.JoinedStr | ast.Call | ast.Name | ast.Attribute) or (
        isinstance(right, ast.Constant) and isinstance(right.value, str)
    )


def test_the_listeners_read_certificates_and_do_no_cryptography() -> None:
    """import-linter sees packages only: what of `cryptography` the listeners may use is held here."""
    tree = ast.parse((ROOT / "switch/server/tls.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Import)]
    used = [ast.unparse(node) for node in imports if "cryptography" in ast.unparse(node)]
    assert used == [
        "from cryptography import x509",
        "from cryptography.exceptions import UnsupportedAlgorithm",
        "from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes",
    ]


@pytest.mark.parametrize("file", MODULES, ids=_name)
def test_nothing_is_left_to_do_later(file: Path) -> None:
    if file == Path(__file__):
        return
    found = re.search(r"\b(TODO|FIXME)\b", file.read_text(encoding="utf-8"))
    assert found is None, "do it, or say in the papers that it is not done"


def test_only_the_agreed_folders_stand_at_the_top() -> None:
    folders = {file.relative_to(ROOT).parts[0] for file in FILES if len(file.relative_to(ROOT).parts) > 1}
    assert folders <= TOP_FOLDERS, folders - TOP_FOLDERS


def test_no_large_or_binary_file() -> None:
    for file in FILES:
        raw = file.read_bytes()
        assert b"\0" not in raw, f"{_name(file)} is binary: generate it"
        assert len(raw) < 300_000, f"{_name(file)} is large: generate it"


def test_the_lock_names_versions_and_hashes_and_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    pinned = re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)
    assert len(pinned) > 30
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[\[<>=!~ ]", one)[0] for one in wanted}
    assert names <= set(pinned)

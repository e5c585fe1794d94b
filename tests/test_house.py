"""Rules of the house that no linter knows."""

import ast
import re
import subprocess
import sysconfig
from pathlib import Path

import yaml

import bluref

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "bluref"
TEXTS = {
    path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(text) for name, text in TEXTS.items()}
MAY_OPEN_PICKLES = {"train/checkpoint.py", "weights/published.py"}


def nodes(*kinds):
    """Every (module, node) of these kinds in the package."""
    return [
        (name, node)
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, kinds)
    ]


def test_imports_point_one_way():
    checker = Path(sysconfig.get_path("scripts")) / "lint-imports"
    done = subprocess.run(
        [checker, "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_longer_than_400_lines():
    assert [name for name, text in TEXTS.items() if len(text.splitlines()) > 400] == []


def test_no_function_is_longer_than_60_lines():
    functions = nodes(ast.FunctionDef, ast.AsyncFunctionDef)
    assert [(m, f.name) for m, f in functions if f.end_lineno - f.lineno + 1 > 60] == []


def test_no_module_is_named_after_nothing():
    vague = {"util", "utils", "helper", "helpers", "common", "misc"}
    assert [name for name in TEXTS if vague & set(name.removesuffix(".py").split("/"))] == []


def test_pickles_are_opened_in_two_places_and_never_run_code():
    for name, call in nodes(ast.Call):
        function = ast.unparse(call.func)
        assert not function.startswith("pickle."), name
        if function == "torch.load":
            assert name in MAY_OPEN_PICKLES
            assert "weights_only=True" in map(ast.unparse, call.keywords)


def test_nothing_is_left_for_later():
    assert [name for name, text in TEXTS.items() if re.search(r"\b(TODO|FIXME|XXX)\b", text)] == []


def test_every_module_says_what_it_is_for_and_rooms_say_nothing_else():
    assert [name for name, tree in TREES.items() if not ast.get_docstring(tree)] == []
    rooms = {name: tree for name, tree in TREES.items() if name.endswith("/__init__.py")}
    assert [name for name, tree in rooms.items() if len(tree.body) > 1] == []


def offered_by(module):
    """What a module of the package lets others import: not what begins with an underscore."""
    here = module.replace(".", "/")
    inside = [m.removeprefix(f"{here}/") for m in TEXTS if m.startswith(f"{here}/")]
    found = {m.removesuffix(".py").split("/")[0] for m in inside}
    for statement in TREES.get(f"{here}.py", ast.Module([], [])).body:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case (
                ast.Assign(targets=[ast.Name(id=name), *_])
                | ast.AnnAssign(target=ast.Name(id=name))
            ):
                found.add(name)
    return {name for name in found if not name.startswith("_")}


def test_benches_import_what_is_there_and_meant_for_them():
    missing = [
        (bench.name, f"{statement.module}.{alias.name}")
        for bench in sorted((ROOT / "bench").glob("*.py"))
        for statement in ast.walk(ast.parse(bench.read_text("utf-8")))
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("bluref.")
        for alias in statement.names
        if alias.name not in offered_by(statement.module.removeprefix("bluref."))
    ]
    assert missing == []


def test_the_version_is_the_same_everywhere():
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert re.search(r'^version = "(.+)"$', project, re.MULTILINE).group(1) == bluref.__version__
    assert citation["version"] == bluref.__version__


def test_every_dependency_is_pinned():
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    tables = project[project.index("\ndependencies") : project.index("[project.scripts]")]
    wanted = re.findall(r'^  "([\w-]+)', tables, re.MULTILINE)
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    assert [name for name in wanted if name.lower().replace("_", "-") not in pinned] == []

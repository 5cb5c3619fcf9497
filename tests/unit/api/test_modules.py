"""Many modules as one script."""

from pathlib import Path

import pytest

from api.modules import ModuleError, join_modules


def write_modules(folder: Path, **modules: str) -> Path:
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text)
    return folder


def test_a_module_stands_after_what_it_imports_and_once(tmp_path: Path) -> None:
    # Given modules of which two need the same third
    folder = write_modules(
        tmp_path,
        main='import { b } from "./b.js";\nimport { c, d } from "./c.js";\nb(c, d);\n',
        b='import { c } from "./c.js";\nexport const b = (x) => c(x);\n',
        c="export async function c() {}\nexport class d {}\nconst hidden = 1;\n",
    )
    # When they are join_modules
    script = join_modules(folder, "main")
    # Then each is there once, after what it needs, and returns what it exports and nothing more
    places = [script.index(f"const ${name} = (() => {{") for name in ("c", "b", "main")]
    assert places == sorted(places)
    assert script.count("const $c = (() =>") == 1
    assert "return { c, d };" in script
    assert "const { c, d } = $c;" in script
    assert "import" not in script
    assert "export" not in script


@pytest.mark.parametrize(
    "line",
    ['import * as all from "./b.js";', 'import "./b.js";', "export default 1;", "export { a };", "export let a = 1;"],
)
def test_another_form_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ModuleError, match=r"main\.js: (im|ex)port"):
        join_modules(write_modules(tmp_path, main=f"{line}\n", b=""), "main")


def test_a_circle_is_refused(tmp_path: Path) -> None:
    circle = {
        "main": 'import { b } from "./b.js";\nexport const a = 1;\n',
        "b": 'import { a } from "./main.js";\nexport const b = a;\n',
    }
    with pytest.raises(ModuleError, match="imports itself"):
        join_modules(write_modules(tmp_path, **circle), "main")

"""Definitions go into a module that exists already."""

import pytest

from tools.scaffold.merging import Conflict, merged

MODULE = '"""Things."""\n\nimport os\n\n\ndef one() -> str:\n    return os.name\n'


def test_new_module_is_taken_as_it_is() -> None:
    assert merged("", MODULE) == MODULE


def test_module_that_has_everything_stays_as_it_is() -> None:
    written_otherwise = MODULE.replace("os.name", "( os.name )") + "\n\n# kept\n"

    assert merged(written_otherwise, MODULE) == written_otherwise


def test_missing_function_is_added_with_its_decorators_and_the_imports_it_needs() -> (
    None
):
    new = (
        'import re\nimport sys\n\n\n@sys.intern\n@x\ndef two() -> None:\n    """2."""\n'
    )

    text = merged(MODULE, new)

    assert text == MODULE.replace("import os\n", "import os\nimport sys\n") + (
        '\n\n@sys.intern\n@x\ndef two() -> None:\n    """2."""\n'
    )


def test_import_comes_after_the_docstring_where_there_is_no_other() -> None:
    text = merged(
        '"""Things."""\n', "import os\n\n\ndef f() -> None:\n    os.abort()\n"
    )

    assert text == '"""Things."""\n\nimport os\n\n\ndef f() -> None:\n    os.abort()\n'


def test_function_of_the_same_name_that_differs_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="^already has one; choose another name$"):
        merged(MODULE, MODULE.replace("os.name", "os.sep"))


def test_name_that_an_import_has_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="^already has os; choose another name$"):
        merged(MODULE, "def os() -> None: ...\n")


def test_import_of_a_name_that_is_something_else_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="^has something else called one$"):
        merged(
            MODULE, "from ones import one\n\n\ndef two() -> str:\n    return one()\n"
        )


@pytest.mark.parametrize("existing", ["", MODULE])
def test_new_name_that_means_two_things_is_a_conflict(existing: str) -> None:
    with pytest.raises(Conflict, match="^would have two things called re$"):
        merged(existing, "import re\n\n\ndef re() -> None: ...\n")


def test_fixture_that_exists_is_kept_as_a_person_has_made_it() -> None:
    made = "@pytest.fixture\ndef one_id() -> int:\n    return 2\n"

    assert merged(made, made.replace("2", "1")) == made


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ('x = ["a", "c"]\n', 'x = ["a", "b", "c"]\n'),
        ('x = [\n    "c",\n    "a",\n]\n', 'x = [\n    "c",\n    "a", "b",\n]\n'),
        ("x = []\n", 'x = ["b"]\n'),
        ('x = ["b"]\n', 'x = ["b"]\n'),
    ],
)
def test_list_gets_what_it_lacks_in_its_order(existing: str, expected: str) -> None:
    assert merged(existing, 'x = ["b"]\n') == expected


def test_dictionary_gets_what_it_lacks_at_its_end() -> None:
    existing = 'x: dict[str, int] = {\n    "ü": 1,\n}\n'

    text = merged(existing, 'x: dict[str, int] = {"b": 2}\n')

    assert text == 'x: dict[str, int] = {\n    "ü": 1, "b": 2,\n}\n'


def test_key_with_another_value_is_a_conflict() -> None:
    with pytest.raises(Conflict, match=r"^already has another x\['a'\]$"):
        merged('x = {"a": 1}\n', 'x = {"a": 2}\n')


def test_list_that_is_missing_or_computed_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="^has no x$"):
        merged("y = 1\n", "x = [1]\n")
    with pytest.raises(Conflict, match="^computes x; "):
        merged("x = list(y)\n", "x = [1]\n")

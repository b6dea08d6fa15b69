"""The tool behind `make docs`."""

import pytest

from tools.docs import with_table

PAGE = "# Queues\n\n| old |\n| --- |\n| row |\n\nafter\n\n| other |\n| --- |\n"


def test_first_table_is_replaced_and_the_rest_stays() -> None:
    page = with_table(PAGE, "| new |\n| --- |")

    assert page == "# Queues\n\n| new |\n| --- |\n\nafter\n\n| other |\n| --- |\n"


def test_page_without_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="no table"):
        with_table("# Queues\n", "| new |")

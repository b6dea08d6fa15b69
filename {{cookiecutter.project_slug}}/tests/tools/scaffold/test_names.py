"""Names that the generator takes, and those that it refuses."""

from collections.abc import Callable

import pytest
from django.core.management.base import CommandError

from tools.scaffold import names


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (names.function, "charge_invoice"),
        (names.function, "close2"),
        (names.domain, "email"),
        (names.model, "Invoice"),
        (names.model, "LineItem2"),
        (names.argument, "line_item_id"),
    ],
)
def test_good_name_is_taken(check: Callable[[str, str], str], value: str) -> None:
    assert check("name", value) == value


@pytest.mark.parametrize(
    ("check", "value", "expected"),
    [
        (names.function, "", "words in lower case"),
        (names.function, "Charge", "words in lower case"),
        (names.function, "charge-invoice", "words in lower case"),
        (names.function, "_charge", "words in lower case"),
        (names.function, "charge__it", "words in lower case"),
        (names.function, "../charge", "words in lower case"),
        (names.function, "charge\n", "words in lower case"),
        (names.function, "zoë", "words in lower case"),
        (names.function, "a" * 51, "up to 50 characters"),
        (names.function, "class", "no keyword"),
        (names.function, "match", "no keyword"),
        (names.function, "print", "no built-in"),
        (names.function, "run", "not reserved by the generated tests: last, "),
        (names.function, "test_charge", "pytest does not take for a test"),
        (names.domain, "errors", "app/services/errors.py is none"),
        (names.domain, "Billing", "words in lower case"),
        (names.model, "invoice", "words with capitals"),
        (names.model, "Line_Item", "words with capitals"),
        (names.model, "None", "Python does not use itself"),
        (names.model, "Exception", "Python does not use itself"),
        (names.argument, "invoice", "the name of a primary key"),
        (names.argument, "Invoice_id", "words in lower case"),
    ],
)
def test_bad_name_is_refused_with_what_is_accepted(
    check: Callable[[str, str], str], value: str, expected: str
) -> None:
    with pytest.raises(CommandError) as refused:
        check("field", value)

    assert str(refused.value).startswith(f"field {value!r}: expected ")
    assert expected in str(refused.value)


def test_value_that_is_not_offered_is_refused_with_the_offers() -> None:
    with pytest.raises(CommandError, match="every 'yearly': expected one of daily, we"):
        names.one_of("every", "yearly", ["daily", "weekly"])


def test_same_name_for_two_things_is_refused() -> None:
    with pytest.raises(CommandError, match="name 'x': expected another .* than domain"):
        names.distinct(domain="x", name="x")


@pytest.mark.parametrize("name", ["LineItem", "line_item"])
def test_name_in_words(name: str) -> None:
    assert names.words(name) == "line item"

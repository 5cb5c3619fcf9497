"""What the documents say is held equal to what the code does."""

from pathlib import Path

import pytest

from settings_reference import parameter_of_variable, setting_rows, template_document

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"


def test_every_setting_gives_its_reason():
    assert [row.variable for row in setting_rows(TEMPLATE) if len(row.reason) < 20] == []


@pytest.mark.parametrize("row", [row for row in setting_rows(TEMPLATE) if row.parameter], ids=lambda row: row.variable)
def test_a_template_parameter_has_its_settings_default_and_bounds(row):
    parameter = template_document(TEMPLATE)["Parameters"][row.parameter.strip("`")]

    assert str(parameter["Default"]) == row.default.strip("`")
    if parameter["Type"] == "Number":
        assert (str(parameter["MinValue"]), str(parameter["MaxValue"])) == (row.least, row.most)


def test_only_variables_that_are_settings_are_passed_to_the_functions():
    known = {row.variable.strip("`") for row in setting_rows(TEMPLATE)}

    assert parameter_of_variable(template_document(TEMPLATE)).keys() <= known

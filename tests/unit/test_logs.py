"""Log lines: whatever text comes along, the line is written."""

import json

import pytest

from leaseway.logs import log

TEXTS = ["half a pair \ud800", "file \udc80.txt", "\udfff\ud800", "a\x00b", "line\nbreak", "\u2028", "caf\u00e9"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_line_is_utf_8_whatever_its_text_is(text: str) -> None:
    record = log._logger.makeRecord("leaseway", 20, "", 0, text, (), None)
    line = log._logger.handlers[0].format(record).encode()
    assert json.loads(line)["message"] == text

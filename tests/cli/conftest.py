"""What every error of the command line looks like."""

import pytest


@pytest.fixture
def assert_one_line():
    def check(result, code, *words):
        assert result[0] == code, result
        assert result[1] == "", "an error must leave stdout to programs"
        assert result[2].startswith("srfast: error: "), result[2]
        assert result[2].count("\n") == 1, result[2]
        assert "Traceback" not in result[2]
        for word in words:
            assert str(word) in result[2], result[2]

    return check

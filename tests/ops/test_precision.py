"""TF32 is kept out however the user has set torch, and every setting is as before afterwards."""

from collections.abc import Iterator

import pytest
from torch import backends

from srfast.ops.device import without_tf32

if not hasattr(backends, "fp32_precision"):
    pytest.skip("needs torch 2.9", allow_module_level=True)

OPERATIONS = [backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul]
PLACES = [backends, backends.cudnn, backends.cudnn.rnn, *OPERATIONS]


def settings() -> list[str]:
    return [place.fp32_precision for place in PLACES]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = settings()
    yield
    for place, value in zip(PLACES, before, strict=True):
        place.fp32_precision = value


@pytest.mark.parametrize(("place", "given"), [(None, ""), (backends.cudnn.conv, "ieee"), (backends, "tf32")])
def test_no_tf32_inside_and_every_setting_as_before(place, given):
    if place:
        place.fp32_precision = given
    before = settings()
    with without_tf32():
        assert {operation.fp32_precision for operation in OPERATIONS} == {"ieee"}
    assert settings() == before
    with pytest.raises(ZeroDivisionError), without_tf32():
        raise ZeroDivisionError
    assert settings() == before


def test_an_inherited_setting_still_follows():
    backends.fp32_precision = "tf32"
    backends.cuda.matmul.fp32_precision = "none"
    with without_tf32():
        pass
    backends.fp32_precision = "ieee"
    assert backends.cuda.matmul.fp32_precision == "ieee"

# SPDX-License-Identifier: Apache-2.0
"""What contradicts another property is refused before anything is made, in one line that names its place."""

from __future__ import annotations

import json

import pytest

from pyrun.errors import PyrunError
from pyrun_spec.errors import SpecError
from pyrun_spec.load import checked_config
from support import configs
from support.contradictions import CONTRADICTIONS, Contradiction

from .configs import BUNDLE, compile_for_test


def test_the_configuration_is_good_without_them() -> None:
    compile_for_test(checked_config(json.dumps(configs.default()).encode(), BUNDLE))


@pytest.mark.parametrize("contradiction", CONTRADICTIONS, ids=lambda each: each.name)
def test_contradictions(contradiction: Contradiction) -> None:
    with pytest.raises((SpecError, PyrunError)) as caught:
        compile_for_test(checked_config(json.dumps(contradiction.config()).encode(), BUNDLE))
    error = caught.value
    assert isinstance(error, (SpecError, PyrunError))
    assert error.pointer == contradiction.pointer
    assert str(error).isprintable()

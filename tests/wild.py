"""Values that no one expects, for tests by Hypothesis: seeded, and nothing is kept on disk."""

import tempfile

from hypothesis import HealthCheck, configuration, settings
from hypothesis import strategies as st

configuration.set_hypothesis_home_dir(tempfile.gettempdir())
_NOT_AN_ERROR = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
seeded = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=_NOT_AN_ERROR,
)

NUMBERS = st.one_of(
    st.sampled_from((0, -1, 1, 2, 10**30, -(2**63), 2**63 - 1, 10**400)),
    st.sampled_from((0.0, -0.0, 0.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan"))),
    st.integers(),
    st.floats(),
)
TEXTS = st.one_of(
    st.sampled_from(
        ("", " ", "a\0b", "a\nb", "~", "~nouser/x", "..", "-x", "\ud800", "\udc80")
    ),
    st.sampled_from(("none", "None", "nan", "gs://b/x", "ram://x", "s4://b", "gs:", "é\u2028")),
    st.text(max_size=30),
)
OTHERS = st.one_of(
    st.none(),
    st.booleans(),
    st.binary(max_size=4),
    st.lists(TEXTS, max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
    st.builds(object),
    st.complex_numbers(),
    st.fractions(),
)
ANYTHING = st.one_of(NUMBERS, TEXTS, OTHERS)

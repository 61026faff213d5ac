import numpy as np
import pytest
import reference

from simclr_keras import alignment, effective_rank, uniformity


@pytest.mark.parametrize("shape", [(2, 3), (12, 5), (6, 20)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_measures_match_the_papers_formulas(rng, shape, dtype):
    first, second = (rng.normal(0.3, size=shape).astype(dtype) for _ in range(2))
    assert alignment(first, second) == pytest.approx(reference.alignment(first, second))
    assert uniformity(first) == pytest.approx(reference.uniformity(first))
    assert effective_rank(first) == pytest.approx(reference.rank_me(first), rel=1e-6)


def test_known_answers():
    orthogonal, equal = np.eye(6), np.ones((6, 4), "float32")
    assert effective_rank(orthogonal) == pytest.approx(6, abs=1e-4)
    assert effective_rank(equal) == pytest.approx(1, abs=1e-4)
    # Singular values 3, 1: shares 3/4 and 1/4, and exp of their entropy.
    two = np.diag([3.0, 1.0])
    assert effective_rank(two) == pytest.approx(0.75**-0.75 * 0.25**-0.25, abs=1e-5)
    assert uniformity(equal) == pytest.approx(0, abs=1e-12)
    assert uniformity(orthogonal) == pytest.approx(-4)  # all distances are sqrt(2)
    assert uniformity([[1.0, 0.0], [-1.0, 0.0]]) == pytest.approx(-8)  # distance 2
    assert alignment(orthogonal, orthogonal) == 0
    assert alignment(orthogonal, -orthogonal) == pytest.approx(4)


def test_only_the_rank_depends_on_lengths(rng):
    first, second = rng.normal(size=(2, 8, 5))
    lengths = rng.uniform(0.1, 10.0, (8, 1))
    assert alignment(first * lengths, second) == pytest.approx(alignment(first, second))
    assert uniformity(first * lengths) == pytest.approx(uniformity(first))
    assert effective_rank(first * lengths) != pytest.approx(effective_rank(first), rel=1e-3)
    assert effective_rank(first * 100.0) == pytest.approx(effective_rank(first))


def test_features_of_zero_have_no_direction():
    zeros = np.zeros((4, 3))
    assert effective_rank(zeros) == pytest.approx(1, abs=1e-4)
    assert uniformity(zeros) == alignment(zeros, zeros) == 0


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: uniformity([[1.0, 0.0]]), r"at least 2. Received: shape \(1, 2\)"),
        (lambda: effective_rank(np.zeros((0, 3))), r"at least 1. Received: shape \(0, 3\)"),
        (lambda: effective_rank([1.0, 2.0]), r"Received: shape \(2,\)"),
        (
            lambda: alignment(np.eye(2), np.eye(3)),
            r"features_1.shape=\(2, 2\), features_2.shape=\(3, 3\)",
        ),
    ],
)
def test_other_shapes_are_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()

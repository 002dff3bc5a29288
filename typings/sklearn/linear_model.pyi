# The part of scikit-learn that Shoal uses; the library ships no types.
import numpy as np
from numpy.typing import NDArray

class LogisticRegression:
    coef_: NDArray[np.float64]
    intercept_: NDArray[np.float64]
    classes_: NDArray[np.intp]
    def __init__(
        self,
        *,
        C: float = ...,
        max_iter: int = ...,
        class_weight: str | None = ...,
        random_state: int | None = ...,
    ) -> None: ...
    def fit(
        self,
        X: NDArray[np.float32] | NDArray[np.float64],
        y: NDArray[np.intp] | NDArray[np.bool_],
        sample_weight: NDArray[np.float64] | None = ...,
    ) -> LogisticRegression: ...
    def predict_proba(self, X: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]: ...

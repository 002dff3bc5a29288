import numpy as np
from numpy.typing import NDArray

class IsotonicRegression:
    X_thresholds_: NDArray[np.float64]
    y_thresholds_: NDArray[np.float64]
    def __init__(
        self, *, y_min: float | None = ..., y_max: float | None = ..., out_of_bounds: str = ...
    ) -> None: ...
    def fit(
        self, X: NDArray[np.float32] | NDArray[np.float64], y: NDArray[np.bool_] | NDArray[np.float64]
    ) -> IsotonicRegression: ...

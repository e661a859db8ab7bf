from typing import Any

from numpy import float32
from numpy.typing import NDArray

def create(
    picture: NDArray[float32],
    sides: tuple[int, int],
    tile: tuple[int, int],
    networks: tuple[int, int, int, int],
    threads: int,
    lanes: int,
    /,
) -> Any: ...
def loss(
    fit: Any,
    latents: NDArray[float32],
    parameters: NDArray[float32],
    gradient: NDArray[float32],
    x_hat: NDArray[float32] | None,
    told: NDArray[float32] | None,
    temperature: float,
    deviation: float,
    seed: int,
    rate_weight: float,
    error_weight: float,
    learn: bool,
    move: bool,
    /,
) -> tuple[tuple[float, ...], float]: ...
def step(
    fit: Any,
    latents: NDArray[float32],
    mean: NDArray[float32],
    square: NDArray[float32],
    size: float,
    root: float,
    epsilon: float,
    /,
) -> None: ...
def inside(fit: Any, values: NDArray[float32], gradients: NDArray[float32], /) -> None: ...
def lanes(most: int, /) -> int: ...

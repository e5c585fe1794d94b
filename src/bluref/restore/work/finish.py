"""Who has the last word on a picture that a network has deblurred."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

Place = int | Path
"""A frame of a film by its number, or a picture by its path."""


@runtime_checkable
class Finish(Protocol):
    """Has the last word on frames and pictures: it may know more of them than their image."""

    @property
    def identity(self) -> str:
        """Changes whenever a picture would come out otherwise."""
        ...

    def knows(self, place: Place) -> bool:
        """Whether it has anything to say of that one; what it does not know is not held whole."""
        ...

    def __call__(
        self, place: Place, image: Float[Tensor, "1 3 h w"], result: Float[Tensor, "1 3 h w"]
    ) -> Float[Tensor, "1 3 h w"]:
        """From an image, upright, and what the network made of it to what is written."""
        ...

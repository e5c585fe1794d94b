"""Pictures made as large as a network wants them."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def pad_to_multiple(x: Float[Tensor, "b c h w"], multiple: int) -> Float[Tensor, "b c H W"]:
    """Extend the right and bottom until both sides divide by `multiple`.

    The image is reflected at its edge; a side too short for that repeats its last pixel.
    """
    h, w = x.shape[-2:]
    right, bottom = -w % multiple, -h % multiple
    x = F.pad(x, (0, right, 0, 0), mode="reflect" if right < w else "replicate")
    return F.pad(x, (0, 0, 0, bottom), mode="reflect" if bottom < h else "replicate")

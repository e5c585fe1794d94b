"""What a frame says about the display it was graded on, in the words of the encoders."""

import struct
from typing import cast

import av
from av.sidedata.sidedata import SideData, Type

_CHROMATICITY, _LUMINANCE = 50_000, 10_000  # steps per unit in SMPTE ST 2086 messages


def hdr_options(encoder: str, frame: av.VideoFrame) -> dict[str, str]:
    """Options that make an encoder repeat a frame's mastering display and content light level.

    Of the encoders here libx264, libx265 and libsvtav1 can; for others there are no options, and
    for frames that say nothing.
    """
    display, light = _display(frame), _light(frame)
    parts = []
    if encoder in ("libx264", "libx265"):
        light_name = "cll" if encoder == "libx264" else "max-cll"
        if display:
            steps = [round(v * _CHROMATICITY) for v in display[:8]]
            steps += [round(v * _LUMINANCE) for v in display[8:]]
            name = "mastering-display" if encoder == "libx264" else "master-display"
            parts.append(f"{name}={_written([str(v) for v in steps])}")
        parts += [f"{light_name}={light[0]},{light[1]}"] if light else []
        return {f"{encoder[3:]}-params": ":".join(parts)} if parts else {}
    if encoder == "libsvtav1":
        if display:
            parts.append(f"mastering-display={_written([f'{v:.5f}' for v in display])}")
        parts += [f"content-light={light[0]},{light[1]}"] if light else []
        return {"svtav1-params": ":".join(parts)} if parts else {}
    return {}


def lost_hdr(encoder: str, frame: av.VideoFrame) -> list[str]:
    """What of it is not repeated, one line each."""
    said, lost = frame.side_data, []
    static = Type.MASTERING_DISPLAY_METADATA in said or Type.CONTENT_LIGHT_LEVEL in said
    if static and not hdr_options(encoder, frame):
        lost.append(f"{encoder} cannot repeat the mastering display and the content light level")
    if Type.DOVI_RPU_BUFFER in said or Type.DOVI_METADATA in said:
        lost.append("the layer of Dolby Vision is not kept; what is below it is")
    if Type.DYNAMIC_HDR_PLUS in said:
        lost.append("the dynamic metadata of HDR10+ are not kept")
    return lost


def _display(frame: av.VideoFrame) -> list[float] | None:
    """Green, blue, red and white as x and y, and the largest and smallest luminance in cd/m2."""
    data = side_data(frame, Type.MASTERING_DISPLAY_METADATA)
    if data is None or len(data) < 88:
        return None
    numbers = struct.unpack("=22i", data[:88])  # ten fractions and two flags, as FFmpeg lays it
    if not (numbers[20] and numbers[21]):
        return None
    value = [numbers[i] / max(numbers[i + 1], 1) for i in range(0, 20, 2)]
    red, green, blue, white = value[0:2], value[2:4], value[4:6], value[6:8]
    return [*green, *blue, *red, *white, value[9], value[8]]


def _written(v: list[str]) -> str:
    return f"G({v[0]},{v[1]})B({v[2]},{v[3]})R({v[4]},{v[5]})WP({v[6]},{v[7]})L({v[8]},{v[9]})"


def _light(frame: av.VideoFrame) -> tuple[int, int] | None:
    """MaxCLL and MaxFALL, cd/m2."""
    data = side_data(frame, Type.CONTENT_LIGHT_LEVEL)
    if data is None or len(data) < 8:
        return None
    brightest, average = struct.unpack("=II", data[:8])
    return brightest, average


def side_data(frame: av.VideoFrame, kind: Type) -> bytes | None:
    """What a frame carries of one kind, as FFmpeg lays it out; None where it carries none."""
    found = frame.side_data.get(kind.name)
    return None if found is None else bytes(cast("SideData", found))

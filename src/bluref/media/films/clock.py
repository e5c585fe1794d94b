"""One clock for a film whose recording began anew: transport streams put one behind the other."""

from dataclasses import dataclass
from fractions import Fraction

from bluref.media.video import Packet

CONTAINERS = ("mpegts", "mpeg")  # whose clock may begin anew
BACK = Fraction(1, 10)  # s by which the time of storage falls where it does
# Readers tell that a picture is complete when the next one comes: the last of the old recording may
# come after the first sound of the new one, so many seconds at most later than the one before.
LATE = 1


@dataclass(frozen=True)
class _Last:
    """The last packet of pictures or sound of a stream, in seconds of the mended clock.

    Attributes:
        stored: when it is stored.
        end: up to when it is seen or heard.
        held: how long one more would be that the reader may hold back; 0 where it holds none.
    """

    stored: Fraction
    end: Fraction
    held: Fraction


class Clock:
    """Sets the times of a film's packets, so that they go on where the recording began anew.

    Cameras that write transport streams cut them into files, and people put those together with
    `cat` or `copy /b`: the times of each begin anew. What follows is moved as a whole, all its
    streams alike, to where the furthest of them had got. Of other containers nothing is changed,
    nor where times leap forward: nobody knows how long the camera rested.

    Args:
        container: its name, as PyAV has it.

    Attributes:
        jumps: where it began anew, in seconds of the mended clock.
    """

    def __init__(self, container: str) -> None:
        self.jumps: list[float] = []
        self._minded = container in CONTAINERS
        self._ahead = Fraction(0)  # s that are added
        self._last: dict[int, _Last] = {}  # by stream
        self._before: dict[int, Fraction] = {}  # what was added, by stream that may hold one back

    def set(self, packet: Packet) -> None:
        """Move the times of a packet; each is to be given once, in the order of the file."""
        if not self._minded or packet.dts is None:
            return
        kind, index, tick = packet.stream.type, packet.stream.index, Fraction(packet.time_base or 1)
        timed = kind in ("video", "audio")
        shown = packet.dts if packet.pts is None else packet.pts
        ahead = self._ahead
        if timed and index in self._last:
            ahead = self._for(index, packet.dts * tick, shown * tick)
        moved = round(ahead / tick)
        packet.dts += moved
        if packet.pts is not None:
            packet.pts += moved
        if timed:
            length = (packet.duration or 0) * tick
            end, held = (shown + moved) * tick + length, length if kind == "video" else Fraction(0)
            self._last[index] = _Last(packet.dts * tick, end, held)

    def _for(self, index: int, stored: Fraction, shown: Fraction) -> Fraction:
        """What is to be added to the times of a stream's next packet."""
        last, before = self._last[index].stored, self._before.pop(index, None)
        if before is not None and 0 <= stored + before - last <= LATE:
            return before
        if stored + self._ahead < last - BACK:
            self._begin_anew(index, shown)
        return self._ahead

    def _begin_anew(self, index: int, shown: Fraction) -> None:
        """Let a stream's next packet be shown when all that came before has been."""
        others = {i: last for i, last in self._last.items() if i != index}
        ends = [self._last[index].end, *(last.end + last.held for last in others.values())]
        self._before = {i: self._ahead for i, last in others.items() if last.held}
        self._ahead = max(ends) - shown
        self.jumps.append(float(max(ends)))

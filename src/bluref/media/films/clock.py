"""One clock for a film whose recording began anew: transport streams put one behind the other."""

from dataclasses import dataclass
from fractions import Fraction

from bluref.media.video import BACK, MAY_BEGIN_ANEW, Packet

# Readers tell that a packet is complete when the next one comes: the last of the old recording may
# come after the first of another stream of the new one. So many seconds at most it is later than
# the one before.
LATE = 1
# s after which clocks of 33 bits begin at 0 by themselves. Readers mend that, and take a step back
# for it where the first of a film is late.
WRAP = Fraction(1 << 33, 90_000)


@dataclass(frozen=True)
class _Last:
    """The last packet of pictures or sound of a stream, in seconds of the mended clock.

    Attributes:
        stored: when it is stored.
        end: up to when it, or one before it, is seen or heard.
        length: how long it is.
    """

    stored: Fraction
    end: Fraction
    length: Fraction


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
        self._minded = container in MAY_BEGIN_ANEW
        self._ahead = Fraction(0)  # s that are added
        self._last: dict[int, _Last] = {}  # by stream
        self._before: dict[int, Fraction] = {}  # what was added, by stream that may be behind

    def set(self, packet: Packet) -> None:
        """Move the times of a packet; each is to be given once, in the order of the file."""
        stored = packet.pts if packet.dts is None else packet.dts
        if not self._minded or stored is None:
            return
        index, tick = packet.stream.index, Fraction(packet.time_base or 1)
        shown = stored if packet.pts is None else packet.pts
        timed = packet.stream.type in ("video", "audio")
        ahead = self._ahead
        if timed and index in self._last:
            ahead = self._for(index, stored * tick, shown * tick)
        moved = round(ahead / tick)
        if packet.dts is not None:
            packet.dts += moved
        if packet.pts is not None:
            packet.pts += moved
        if timed:
            length = (packet.duration or 0) * tick
            end = (shown + moved) * tick + length
            if index in self._last:  # what is stored later may be shown before
                end = max(end, self._last[index].end)
            self._last[index] = _Last((stored + moved) * tick, end, length)

    def _for(self, index: int, stored: Fraction, shown: Fraction) -> Fraction:
        """What is to be added to the times of a stream's next packet."""
        last, before = self._last[index].stored, self._before.get(index)
        if before is not None and 0 <= stored + before - last <= LATE:
            return before
        self._before.pop(index, None)
        step = stored + self._ahead - last
        if step < -BACK or step > WRAP / 2:
            self._begin_anew(index, shown)
        return self._ahead

    def _begin_anew(self, index: int, shown: Fraction) -> None:
        """Let a stream's next packet be shown when all that came before has been."""
        others = {i: last for i, last in self._last.items() if i != index}
        # One more of each may be to come.
        ends = [self._last[index].end, *(last.end + last.length for last in others.values())]
        self._before = {i: self._before.get(i, self._ahead) for i in others}
        self._ahead = max(ends) - shown
        self.jumps.append(float(max(ends)))

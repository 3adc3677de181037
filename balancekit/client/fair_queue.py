"""What is read next: the slots for requests are shared among origins, and among callers at one origin.

The next free slot goes to the origin that uses the fewest (max-min fairness). Taking turns, as deficit round robin
does, shares the *starts* of requests: an origin whose requests hang would hold more slots with every turn. A part of
the slots is reserved for origins that use none, so that one that hangs can never use up all of them.

At one origin the callers take turns, so that a caller with one account does not wait behind one with a thousand. Under
a rate limit the account that has waited longest is next, for any caller. Decisions only, nothing here waits.
"""

import heapq
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sized
from typing import Final, Generic, TypeVar

import attrs

from balancekit.stores.forgetting import forget_some

_OriginT = TypeVar("_OriginT", bound=Hashable)
_CallerT = TypeVar("_CallerT", bound=Hashable)
_ItemT = TypeVar("_ItemT")

_RESERVED_PART: Final = 4
"""One slot in so many is reserved, in equal parts, for the origins that use less than their part."""


@attrs.define(eq=False)
class _Line(Generic[_CallerT, _ItemT]):
    """What one caller waits for at one origin; `ticket` is that of its entry in the heap, 0 if it has none.

    Without a caller it is one item that was resumed under a rate limit.
    """

    caller: _CallerT | None
    items: deque[_ItemT] = attrs.field(factory=deque[_ItemT])
    ticket: int = 0


class _OriginQueue(Generic[_OriginT, _CallerT, _ItemT]):
    """What waits at one origin; `rank` gives the order of items under a rate limit, None if callers take turns."""

    def __init__(self, origin: _OriginT) -> None:
        self.origin = origin
        self.rank: Callable[[_ItemT], float] | None = None
        self.used = 0
        self.blocked = False
        # Before all else, without a rate limit: their wait is over.
        self.resumed: deque[_ItemT] = deque()
        self._lines: dict[_CallerT, _Line[_CallerT, _ItemT]] = {}
        # By rank; of the same rank what was resumed is first.
        self._heap: list[tuple[float, bool, int, _Line[_CallerT, _ItemT]]] = []
        self._tickets = 0
        # How many lines have an entry in the heap.
        self.waiting = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, and no slot is used."""
        return not (self.used or self.blocked or self.resumed or self.waiting or self._lines)

    def add(self, caller: _CallerT, items: Iterable[_ItemT]) -> None:
        line = self._lines.get(caller)
        if line is None:
            line = self._lines[caller] = _Line(caller)
        line.items.extend(items)
        if not line.ticket:
            self._push(line)

    def resume(self, item: _ItemT) -> None:
        if self.rank is None:
            self.resumed.append(item)
        else:
            self._push(_Line(None, deque([item])))

    def discard(self, caller: _CallerT) -> _Line[_CallerT, _ItemT] | None:
        line = self._lines.pop(caller, None)
        if line is not None and line.ticket:
            line.ticket = 0
            self.waiting -= 1
            # The entry stays in the heap until it comes up, or until most entries are such.
            if len(self._heap) > 2 * self.waiting + 16:
                self._heap = [entry for entry in self._heap if entry[3].ticket == entry[2]]
                heapq.heapify(self._heap)
        return line

    def count(self, caller: _CallerT) -> int:
        line = self._lines.get(caller)
        return 0 if line is None else len(line.items)

    def pop(self) -> tuple[_CallerT | None, _ItemT]:
        if self.resumed:
            return None, self.resumed.popleft()
        while True:
            *_, ticket, line = heapq.heappop(self._heap)
            if line.ticket == ticket:
                break
        item = line.items.popleft()
        if line.items:
            self._tickets = line.ticket = self._tickets + 1
            rank = 0.0 if self.rank is None else self.rank(line.items[0])
            heapq.heappush(self._heap, (rank, True, line.ticket, line))
        else:
            line.ticket = 0
            self.waiting -= 1
            if line.caller is not None:
                del self._lines[line.caller]
        return line.caller, item

    def _push(self, line: _Line[_CallerT, _ItemT]) -> None:
        self._tickets += 1
        self.waiting += 1
        line.ticket = self._tickets
        rank = 0.0 if self.rank is None else self.rank(line.items[0])
        heapq.heappush(self._heap, (rank, line.caller is not None, self._tickets, line))


class FairQueue(Generic[_OriginT, _CallerT, _ItemT]):
    """What waits for one of a number of slots, by origin and caller.

    `origins` are all that there may be, and `most` is how many of the slots one origin may use. A caller that is paused
    gets no slots, and keeps its places.
    """

    def __init__(self, slots: int, *, origins: Sized, most: int | None = None) -> None:
        self._slots = slots
        self._most = slots if most is None else min(most, slots)
        self._all_origins = origins
        self._queues: dict[_OriginT, _OriginQueue[_OriginT, _CallerT, _ItemT]] = {}
        # The queues with work that are not blocked, by how many slots they use. A dict keeps the order of their turns.
        self._ready: list[dict[_OriginQueue[_OriginT, _CallerT, _ItemT], None]] = [{} for _ in range(slots + 1)]
        self._ready_count = 0
        self._lowest = 0
        self._used = 0
        # The origins at which each caller waits, and the lines of those that are paused.
        self._origins_of: dict[_CallerT, set[_OriginT]] = {}
        self._paused: dict[_CallerT, list[tuple[_OriginT, _Line[_CallerT, _ItemT]]]] = {}

    @property
    def has_work(self) -> bool:
        """Whether anything waits that would be given a slot."""
        return self._ready_count > 0

    def add(
        self,
        origin: _OriginT,
        caller: _CallerT,
        items: Iterable[_ItemT],
        *,
        rank: Callable[[_ItemT], float] | None = None,
    ) -> None:
        """Put items at the end of a caller's line. With `rank`, of all lines the one with the lowest item is next."""
        queue = self._queue(origin)
        queue.rank = rank
        self._origins_of.setdefault(caller, set()).add(origin)
        self._leave_ready(queue)
        queue.add(caller, items)
        self._enter_ready(queue)

    def count(self, origin: _OriginT, caller: _CallerT) -> int:
        """Return how many items of a caller wait at an origin."""
        return self._queue(origin).count(caller)

    def resume(self, origin: _OriginT, item: _ItemT, *, rank: Callable[[_ItemT], float] | None = None) -> None:
        """Put an item before all others at its origin, with `rank` before those of the same: it has waited already."""
        queue = self._queue(origin)
        queue.rank = rank
        self._leave_ready(queue)
        queue.resume(item)
        self._enter_ready(queue)

    def discard(self, caller: _CallerT) -> None:
        """Drop all that a caller waits for."""
        self._paused.pop(caller, None)
        for origin in self._origins_of.pop(caller, ()):
            self._take_line(origin, caller)

    def pause(self, caller: _CallerT) -> None:
        """Give a caller no slot for now."""
        lines = [(origin, self._take_line(origin, caller)) for origin in self._origins_of.get(caller, ())]
        self._paused.setdefault(caller, []).extend((origin, line) for origin, line in lines if line is not None)

    def unpause(self, caller: _CallerT) -> None:
        """Give a caller slots again."""
        for origin, line in self._paused.pop(caller, ()):
            queue = self._queue(origin)
            self._leave_ready(queue)
            queue.add(caller, line.items)
            self._enter_ready(queue)

    def next(
        self, wait: Callable[[_OriginT], float], block: Callable[[_OriginT, float], None]
    ) -> tuple[_OriginT, _CallerT | None, _ItemT] | None:
        """Take a slot for the item that is next; return its origin, its caller and itself, None if no slot can be used.

        A resumed item has no caller.

        `wait` returns for how many seconds no request may go to an origin. If that is not 0, the origin is blocked
        until `unblock`, and `block` is called with both.
        """
        ready = self._ready
        while self._ready_count and self._used < self._slots:
            while not ready[self._lowest]:
                self._lowest += 1
            queue = next(iter(ready[self._lowest]))
            if len(self._all_origins) > 1 and not self._may_use_slot(queue):
                return None
            seconds = wait(queue.origin)
            if seconds > 0:
                self.block(queue.origin)
                block(queue.origin, seconds)
                continue
            caller, item = queue.pop()
            # As by leaving and entering, but without the calls: this is done for every request.
            del ready[queue.used][queue]
            queue.used += 1
            self._used += 1
            if (queue.resumed or queue.waiting) and queue.used < self._most:
                ready[queue.used][queue] = None
            else:
                self._ready_count -= 1
            return queue.origin, caller, item
        return None

    def block(self, origin: _OriginT) -> None:
        """Let no request go to an origin until `unblock`."""
        queue = self._queue(origin)
        self._leave_ready(queue)
        queue.blocked = True

    def unblock(self, origin: _OriginT) -> None:
        """Let requests go to an origin again."""
        queue = self._queue(origin)
        if queue.blocked:
            queue.blocked = False
            self._enter_ready(queue)

    def release(self, origin: _OriginT) -> None:
        """Give back a slot."""
        queue = self._queues[origin]
        used = queue.used = queue.used - 1
        self._used -= 1
        if queue in self._ready[used + 1]:
            del self._ready[used + 1][queue]
            self._ready[used][queue] = None
            self._lowest = min(self._lowest, used)
        elif used + 1 == self._most:
            self._enter_ready(queue)

    def _queue(self, origin: _OriginT) -> _OriginQueue[_OriginT, _CallerT, _ItemT]:
        queue = self._queues.get(origin)
        if queue is None:
            forget_some(self._queues, lambda other: other.is_empty)
            queue = self._queues[origin] = _OriginQueue(origin)
        return queue

    def _take_line(self, origin: _OriginT, caller: _CallerT) -> _Line[_CallerT, _ItemT] | None:
        queue = self._queue(origin)
        self._leave_ready(queue)
        line = queue.discard(caller)
        self._enter_ready(queue)
        return line

    def _enter_ready(self, queue: _OriginQueue[_OriginT, _CallerT, _ItemT]) -> None:
        if (queue.resumed or queue.waiting) and not queue.blocked and queue.used < self._most:
            self._ready[queue.used][queue] = None
            self._ready_count += 1
            self._lowest = min(self._lowest, queue.used)

    def _leave_ready(self, queue: _OriginQueue[_OriginT, _CallerT, _ItemT]) -> None:
        if queue in self._ready[queue.used]:
            del self._ready[queue.used][queue]
            self._ready_count -= 1

    def _may_use_slot(self, queue: _OriginQueue[_OriginT, _CallerT, _ItemT]) -> bool:
        origins = len(self._all_origins)
        if 2 * origins > self._slots:
            # Too few to reserve any for each: the last ones are for origins that use none.
            return not queue.used or self._slots - self._used > self._slots // _RESERVED_PART
        part = max(1, self._slots // (_RESERVED_PART * origins))
        others = sum(min(other.used, part) for other in self._queues.values() if other is not queue)
        return self._slots - self._used > (origins - 1) * part - others

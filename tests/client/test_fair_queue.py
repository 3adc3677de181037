"""Which account is read next, of many callers at many origins. Nothing here waits."""

from collections import Counter

from hypothesis import given, strategies as st

from balancekit.client.fair_queue import FairQueue


def no_wait(origin):
    """Let requests go to any origin at once."""
    return 0.0


def take(queue, count, wait=no_wait, blocked=None):
    """Take so many items, or fewer if there are not so many, without giving back their slots."""
    taken = []
    while len(taken) < count:
        found = queue.next(wait, lambda origin, seconds: blocked.append((origin, seconds)))
        if found is None:
            break
        taken.append(found[2])
    return taken


def queue_of(slots, origins=1, most=None):
    """Make a queue with so many slots, for so many origins."""
    return FairQueue(slots, origins=range(origins), most=most)


def test_items_of_one_caller_stay_in_their_order():
    """What is asked for first is read first."""
    queue = queue_of(10)
    queue.add("a", "caller", [1, 2, 3])

    assert take(queue, 5) == [1, 2, 3]


def test_no_more_slots_are_taken_than_there_are():
    """The number of requests at a time is bounded, and a slot that is given back is used again."""
    queue = queue_of(2)
    queue.add("a", "caller", [1, 2, 3])
    first = take(queue, 5)
    queue.release("a")

    assert (first, take(queue, 5)) == ([1, 2], [3])


def test_callers_at_one_origin_take_turns():
    """A caller with one account does not wait behind one with a thousand."""
    queue = queue_of(2000)
    queue.add("a", "report", range(1000))
    queue.add("a", "bot", ["one"])

    assert take(queue, 3) == [0, "one", 1]


def test_the_origin_that_uses_the_fewest_slots_is_next():
    """Slots are shared equally among origins with work, not turns."""
    queue = queue_of(8, origins=2)
    queue.add("slow", "caller", ["slow"] * 20)
    hung = take(queue, 4)
    queue.add("fast", "caller", ["fast"] * 20)

    assert (hung, take(queue, 4)) == (["slow"] * 4, ["fast"] * 4)


def test_slots_are_reserved_for_an_origin_that_has_no_work_yet():
    """Of two origins, one that hangs leaves an eighth of the slots to the other."""
    queue = queue_of(80, origins=2)
    queue.add("hung", "caller", ["hung"] * 300)
    hung = take(queue, 100)
    queue.add("healthy", "caller", ["healthy"] * 20)

    assert (len(hung), take(queue, 100)) == (70, ["healthy"] * 10)


def test_with_more_origins_than_can_have_a_part_the_last_slots_are_for_those_that_use_none():
    """Five origins that hang leave two of ten slots to the others."""
    queue = queue_of(10, origins=6)
    for number in range(5):
        queue.add(f"hung{number}", "caller", ["hung"] * 60)
    hung = take(queue, 100)
    queue.add("healthy", "caller", ["healthy"] * 20)

    assert (len(hung), take(queue, 100)) == (8, ["healthy"])


def test_an_only_origin_uses_all_slots():
    """Nothing is reserved for origins that do not exist."""
    queue = queue_of(8)
    queue.add("a", "caller", range(100))

    assert len(take(queue, 100)) == 8


def test_one_origin_uses_no_more_slots_than_it_may():
    """A lent session has so many connections for one origin, and others for the rest."""
    queue = queue_of(10, origins=2, most=2)
    queue.add("a", "caller", [1, 2, 3])
    queue.add("b", "caller", [4])
    first = take(queue, 5)
    queue.release("a")

    assert (sorted(first), take(queue, 5)) == ([1, 2, 4], [3])


def test_what_has_waited_already_goes_first():
    """A retry does not wait behind a backlog."""
    queue = queue_of(10)
    queue.add("a", "caller", [1, 2])
    queue.resume("a", "retry")

    assert take(queue, 2) == ["retry", 1]


def test_under_a_rate_limit_the_lowest_rank_goes_first_whoever_wants_it():
    """The account that has waited longest is next, across callers."""
    queue = queue_of(10)
    queue.add("a", "first", [1, 4], rank=float)
    queue.add("a", "second", [2, 3], rank=float)

    assert take(queue, 4) == [1, 2, 3, 4]


def test_under_a_rate_limit_what_is_resumed_has_its_rank():
    """It goes before others of the same rank, and after those of a lower one; and it leaves nothing behind."""
    queue = queue_of(10)
    queue.add("a", "caller", [1, 2, 4], rank=float)
    queue.resume("a", 3.0, rank=float)
    queue.resume("a", 2.0, rank=float)

    taken = [queue.next(no_wait, None)[1:] for _ in range(5)]

    assert taken == [("caller", 1), (None, 2.0), ("caller", 2), (None, 3.0), ("caller", 4)]
    assert not queue.has_work


def test_a_blocked_origin_delays_no_other():
    """During a cooldown, or without a permit, other origins go on; afterwards, the blocked one does as well."""
    queue, blocked = queue_of(10, origins=2), []
    queue.add("limited", "caller", [1])
    queue.add("other", "caller", [2])
    before = take(queue, 5, lambda origin: 3.0 if origin == "limited" else 0.0, blocked)
    queue.unblock("limited")

    assert (before, blocked, take(queue, 5)) == ([2], [("limited", 3.0)], [1])


def test_what_a_caller_waited_for_is_dropped_with_it():
    """No slot is spent on a caller that has left."""
    queue = queue_of(10)
    queue.add("a", "gone", [1, 2])
    queue.add("a", "here", [3])
    queue.discard("gone")

    assert take(queue, 5) == [3]


def test_a_paused_caller_keeps_its_places():
    """A slow consumer gets nothing until it has caught up, and then all that it waits for."""
    queue = queue_of(10, origins=2)
    queue.add("a", "slow", [1, 2])
    queue.add("b", "slow", [3])
    queue.pause("slow")
    paused = take(queue, 5)
    queue.unpause("slow")

    assert (paused, sorted(take(queue, 5))) == ([], [1, 2, 3])


def test_a_paused_caller_can_leave():
    """What a caller waited for before it was paused is dropped as well."""
    queue = queue_of(10)
    queue.add("a", "slow", [1])
    queue.pause("slow")
    queue.discard("slow")
    queue.unpause("slow")

    assert (take(queue, 5), queue.has_work) == ([], False)


def test_callers_that_come_and_go_leave_nothing():
    """A caller that leaves before its turn, ten thousand times, does not make the queue grow."""
    queue = queue_of(1)
    queue.add("a", "first", [0])
    take(queue, 1)
    for number in range(10_000):
        queue.add("a", number, [number])
        queue.discard(number)
    queue.add("a", "last", ["last"])
    queue.release("a")

    assert take(queue, 1) == ["last"]


@given(
    slots=st.integers(1, 12),
    most=st.none() | st.integers(1, 12),
    wanted=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), max_size=60),
    moves=st.lists(st.sampled_from(["next", "release", "pause x", "unpause x", "discard y"]), max_size=80),
)
def test_everything_is_read_once(slots, most, wanted, moves):
    """Whatever happens in between, each item of a caller that stays gets a slot, once, and slots are never exceeded."""
    queue, held, taken, gone = queue_of(slots, origins=4, most=most), [], [], set()
    for number, (origin, caller) in enumerate(wanted):
        queue.add(origin, caller, [(origin, caller, number)])
    for move in [*moves, "unpause x"]:
        if move == "next" and (found := queue.next(no_wait, lambda *_: None)) is not None:
            held.append(found[0])
            taken.append(found[2])
        elif move == "release" and held:
            queue.release(held.pop(0))
        elif move == "pause x":
            queue.pause("x")
        elif move == "unpause x":
            queue.unpause("x")
        elif move == "discard y":
            gone |= {(o, c, n) for n, (o, c) in enumerate(wanted) if c == "y"} - set(taken)
            queue.discard("y")
        assert len(held) <= slots
    while queue.has_work or held:
        if (found := queue.next(no_wait, lambda *_: None)) is None:
            queue.release(held.pop(0))
        else:
            held.append(found[0])
            taken.append(found[2])

    expected = {(o, c, n) for n, (o, c) in enumerate(wanted)} - gone
    assert Counter(taken) == Counter(expected)

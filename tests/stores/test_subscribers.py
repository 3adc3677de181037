"""Publishing changes to subscribers that may be slow."""

import asyncio
import contextvars
import threading
from contextlib import aclosing, suppress

import pytest

from balancekit.stores import Change, subscribers
from balancekit.stores.subscribers import SharedChanges, Subscribers
from tests.support.begun_tasks import note_begun_tasks
from tests.support.stores import PanicError, UncopyableError


@pytest.fixture
def publisher():
    """Give subscribers of which there are none yet."""
    return Subscribers()


async def _next(changes, count):
    return [await anext(changes) for _ in range(count)]


async def test_a_subscription_begins_with_a_change_of_anything(publisher):
    """What was published before is not repeated."""
    publisher.publish(Change("before"))

    async with aclosing(publisher.subscribe()) as changes:
        assert await anext(changes) == Change(None)
        publisher.publish(Change("shop"))
        assert await anext(changes) == Change("shop")


async def test_a_subscriber_waits_for_the_next_change(publisher):
    """It is woken when there is one."""
    async with aclosing(publisher.subscribe()) as changes:
        await anext(changes)
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)

        publisher.publish(Change("shop"))

        assert await waiting == Change("shop")


async def test_a_subscriber_in_another_thread_is_woken(publisher):
    """Its event loop is not the publisher's, and may have nothing else to do."""
    waiting, received = threading.Event(), []

    async def follow():
        async with aclosing(publisher.subscribe()) as changes:
            received.append(await anext(changes))
            asyncio.get_running_loop().call_soon(waiting.set)
            # This wakes the event loop, if nothing else does.
            timer = asyncio.get_running_loop().call_later(5, received.append, "nothing")
            received.append(await anext(changes))
            await asyncio.sleep(0)
            timer.cancel()

    thread = threading.Thread(target=asyncio.run, args=(follow(),))
    thread.start()
    await asyncio.to_thread(waiting.wait)
    publisher.publish(Change("shop"))
    await asyncio.to_thread(thread.join)

    assert received == [Change(None), Change("shop")]


async def test_a_slow_subscriber_gets_one_change_for_many(publisher, monkeypatch):
    """What waits for it is bounded: one change of anything takes the place of the rest."""
    monkeypatch.setattr(subscribers, "MAX_PENDING", 3)
    async with aclosing(publisher.subscribe()) as changes:
        await anext(changes)

        for number in range(9):
            publisher.publish(Change(f"shop {number}"))
        assert await anext(changes) == Change(None)

        publisher.publish(Change("shop"))
        assert await anext(changes) == Change("shop")


async def test_the_same_change_waits_once(publisher):
    """A burst of one account is one change to a subscriber that was busy."""
    async with aclosing(publisher.subscribe()) as changes:
        await anext(changes)
        for key in ("a", "a", "b", "a"):
            publisher.publish(Change(key))

        assert await _next(changes, 2) == [Change("a"), Change("b")]
        publisher.publish(Change("c"))
        assert await anext(changes) == Change("c")


async def test_a_subscriber_that_left_is_forgotten(publisher):
    """Nothing is kept for it."""
    async with aclosing(publisher.subscribe()) as changes:
        await anext(changes)
        assert len(publisher) == 1

    assert len(publisher) == 0


async def test_present_subscribers_raise_an_error(publisher):
    """After what was published before; each has one of its own, so that none has the frames of another."""
    async with aclosing(publisher.subscribe()) as one, aclosing(publisher.subscribe()) as other:
        await anext(one)
        await anext(other)
        publisher.publish(Change("shop"))
        publisher.fail(ConnectionError("lost"))

        raised = []
        for changes in (one, other):
            assert await anext(changes) == Change("shop")
            with pytest.raises(ConnectionError, match="lost") as caught:
                await anext(changes)
            raised.append(caught.value)

    assert raised[0] is not raised[1]
    assert len(publisher) == 0


class Source:
    """Changes that a test makes; `open` is how many follow them, and `opened` how many have."""

    def __init__(self):
        self.open = self.opened = 0
        self.queue = asyncio.Queue()

    async def changes(self):
        """Give what is in the queue, or raise it."""
        self.open += 1
        self.opened += 1
        try:
            while True:
                change = await self.queue.get()
                if isinstance(change, BaseException):
                    raise change
                yield change
        finally:
            self.open -= 1


class TestSharedChanges:
    """One source for all subscribers."""

    @pytest.fixture
    async def source(self):
        """Give a source of changes."""
        return Source()

    @pytest.fixture
    async def shared(self, source):
        """Share it."""
        return SharedChanges(source.changes)

    async def test_it_is_opened_for_the_first_and_closed_with_the_last(self, source, shared):
        """However many subscribe in between."""
        source.queue.put_nowait(Change(None))
        async with aclosing(shared.subscribe()) as one:
            assert await anext(one) == Change(None)
            async with aclosing(shared.subscribe()) as other:
                assert await anext(other) == Change(None)
                source.queue.put_nowait(Change("shop"))
                assert [await anext(one), await anext(other)] == [Change("shop")] * 2
                assert (source.open, source.opened) == (1, 1)
            assert source.open == 1
        assert source.open == 0

    async def test_a_subscription_begins_when_the_source_does(self, source, shared):
        """Not before: what happened until then would be missed."""
        async with aclosing(shared.subscribe()) as changes:
            first = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not first.done()

            source.queue.put_nowait(Change(None))

            assert await first == Change(None)

    @pytest.mark.parametrize(
        ("error", "text"),
        [
            (ConnectionError("lost"), "lost"),
            (PanicError("lost"), "PanicError"),
            (UncopyableError("lost", status=403), "UncopyableError"),
            (asyncio.CancelledError(), "CancelledError"),
            (GeneratorExit(), "GeneratorExit"),
        ],
        ids=repr,
    )
    async def test_every_subscriber_raises_the_error_of_the_source(self, source, shared, error, text):
        """By its name, if it is no Exception or cannot be copied; the next one opens it anew."""
        source.queue.put_nowait(error)
        failing = [shared.subscribe() for _ in range(3)]
        ended = await asyncio.gather(*(anext(changes) for changes in failing), return_exceptions=True)
        assert [str(one) for one in ended] == [text] * 3

        source.queue.put_nowait(Change(None))
        async with aclosing(shared.subscribe()) as changes:
            assert await anext(changes) == Change(None)
        assert (source.open, source.opened) == (0, 2)

    async def test_a_source_that_somebody_cancels_is_opened_anew(self, source, shared):
        """As a program does that cancels all of its tasks: nobody waits for changes that cannot come."""
        source.queue.put_nowait(Change(None))
        changes = shared.subscribe()
        await anext(changes)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        async with asyncio.timeout(5):
            with pytest.raises(RuntimeError, match="CancelledError"):
                await anext(changes)

            source.queue.put_nowait(Change(None))
            async with aclosing(shared.subscribe()) as anew:
                assert await anext(anew) == Change(None)

    async def test_a_subscriber_that_is_cancelled_leaves_the_others(self, source, shared):
        """And the source open for them."""
        source.queue.put_nowait(Change(None))
        async with aclosing(shared.subscribe()) as changes:
            await anext(changes)
            other = asyncio.ensure_future(anext(shared.subscribe()))
            await asyncio.wait([other])
            waiting = shared.subscribe()
            await anext(waiting)
            cancelled = asyncio.ensure_future(anext(waiting))
            await asyncio.sleep(0)
            cancelled.cancel()
            await asyncio.wait([cancelled])

            source.queue.put_nowait(Change("shop"))

            assert await anext(changes) == Change("shop")

    async def test_it_can_be_opened_anew_for_all(self, source, shared):
        """They get its first change, before which anything may have happened."""
        source.queue.put_nowait(Change(None))
        async with aclosing(shared.subscribe()) as changes:
            await anext(changes)

            await shared.restart()
            source.queue.put_nowait(Change(None))

            assert await anext(changes) == Change(None)
            assert (source.open, source.opened) == (1, 2)

    async def test_a_source_that_swallows_a_cancellation_is_closed_all_the_same(self):
        """As one does whose connection is lost at that moment."""
        swallowed = []

        async def stubborn():
            yield Change(None)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.append(True)
            await asyncio.Event().wait()

        async with asyncio.timeout(30), aclosing(SharedChanges(stubborn).subscribe()) as changes:
            await anext(changes)
            await asyncio.sleep(0)

        assert swallowed == [True]

    async def test_the_source_is_followed_in_the_context_of_no_caller(self):
        """It outlives the first subscriber, and its request, also after a call has opened it anew."""
        request, seen = contextvars.ContextVar("request", default=None), []

        async def source():
            seen.append(request.get())
            yield Change(None)
            await asyncio.Event().wait()

        shared = SharedChanges(source)
        request.set("POST /webhooks/shop")
        async with asyncio.timeout(30), aclosing(shared.subscribe()) as changes:
            await anext(changes)
            await shared.restart()
            await anext(changes)

        assert seen == [None, None]

    async def test_it_is_not_opened_anew_for_nobody(self, source, shared):
        """The last one may leave while it is being closed to be opened anew."""
        source.queue.put_nowait(Change(None))
        async with aclosing(shared.subscribe()) as changes:
            await anext(changes)
            anew = asyncio.create_task(shared.restart())
            await asyncio.sleep(0)
        await anew

        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (source.open, source.opened) == (0, 1)

    async def test_it_is_opened_once_while_it_is_opened_anew(self, source, shared):
        """Anyone who comes meanwhile shares what is opened."""
        source.queue.put_nowait(Change(None))
        async with aclosing(shared.subscribe()) as one, aclosing(shared.subscribe()) as other:
            await anext(one)
            anew = asyncio.create_task(shared.restart())
            await asyncio.sleep(0)
            first = asyncio.ensure_future(anext(other))
            await anew
            source.queue.put_nowait(Change(None))

            assert await first == Change(None)
            assert (source.open, source.opened) == (1, 2)
        assert source.open == 0

    async def test_a_source_that_fails_while_it_is_closed_fails_nobody(self):
        """What was opened in its place gives the first change."""
        opened = []

        async def failing():
            opened.append(True)
            try:
                yield Change(None)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if len(opened) == 1:
                    raise ConnectionError("lost") from None
                raise

        shared = SharedChanges(failing)
        async with asyncio.timeout(5), aclosing(shared.subscribe()) as changes:
            await anext(changes)
            await shared.restart()

            assert await anext(changes) == Change(None)
        assert len(opened) == 2

    async def test_a_source_is_closed_though_its_closing_is_cancelled(self):
        """Also if it swallows the first cancellation."""
        ended = asyncio.Event()

        async def stubborn():
            try:
                yield Change(None)
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
                await asyncio.Event().wait()
            finally:
                ended.set()

        changes = SharedChanges(stubborn).subscribe()
        await anext(changes)
        await asyncio.sleep(0)
        close = asyncio.create_task(changes.aclose())
        await asyncio.sleep(0)

        close.cancel()

        async with asyncio.timeout(5):
            await ended.wait()
        assert close.cancelled()

    async def test_the_last_subscriber_closes_it_without_a_task(self, source, shared):
        """While an event loop ends, a task would look like a program that goes on."""
        source.queue.put_nowait(Change(None))
        changes = shared.subscribe()
        await anext(changes)
        before = asyncio.all_tasks()
        begun = note_begun_tasks()
        await changes.aclose()

        assert (begun, source.open) == ([], 0)
        assert asyncio.all_tasks() < before

    async def test_it_is_opened_anew_though_the_caller_is_cancelled(self):
        """Its subscribers would wait for changes for ever."""
        opened = []

        async def slow():
            opened.append(True)
            try:
                yield Change(None)
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.05)

        shared = SharedChanges(slow)
        async with asyncio.timeout(5), aclosing(shared.subscribe()) as changes:
            await anext(changes)
            anew = asyncio.create_task(shared.restart())
            await asyncio.sleep(0)
            anew.cancel()
            await asyncio.wait([anew])

            assert await anext(changes) == Change(None)
        assert len(opened) == 2

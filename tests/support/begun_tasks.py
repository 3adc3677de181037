"""Which tasks an event loop begins."""

import asyncio


def note_begun_tasks():
    """Return a list, to which what the running event loop begins as a task is added from now on."""
    begun, loop = [], asyncio.get_running_loop()

    def begin(loop, coroutine, **settings):
        begun.append(repr(coroutine))
        return asyncio.Task(coroutine, loop=loop, **settings)

    loop.set_task_factory(begin)
    return begun

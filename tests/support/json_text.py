"""JSON as text that may have what Python's own values cannot: an object with a key twice, and escaped characters."""

import json

from hypothesis import strategies as st


class Pairs(tuple):
    """An object as its keys and values, in the order in which they are written."""

    __slots__ = ()


def write(value):
    """Write a value as JSON; a string of bytes is written as it is."""
    match value:
        case bytes():
            return value.decode()
        case Pairs():
            return "{" + ",".join(f"{write(key)} : {write(member)}" for key, member in value) + "}"
        case list():
            return f"[{', '.join(map(write, value))}]"
        case _:
            return json.dumps(value)


def spelled(text):
    """Give a text as JSON: as it is, or with its first character as a number."""
    return st.sampled_from([json.dumps(text).encode(), f'"\\u{ord(text[0]):04x}{text[1:]}"'.encode()])


def objects(fields, *, more):
    """Give objects that have these fields, some of them twice, among others; `fields` are strategies by key."""
    required = st.tuples(*(st.tuples(spelled(key), value) for key, value in fields.items()))
    again = [st.tuples(spelled(key), value | more) for key, value in fields.items()]
    others = st.lists(st.one_of(more_fields(more), *again), max_size=3)
    return st.tuples(required, others).flatmap(lambda both: st.permutations([*both[0], *both[1]])).map(Pairs)


def more_fields(more):
    """Give a field of any other name."""
    return st.tuples(st.text("ab,[}é", max_size=3), more)


def has_duplicates(text):
    """Whether an object of a JSON text has a key twice, as the standard library decodes it."""
    found = []
    json.loads(text, object_pairs_hook=lambda pairs: found.append(len(dict(pairs)) < len(pairs)) or dict(pairs))
    return any(found)

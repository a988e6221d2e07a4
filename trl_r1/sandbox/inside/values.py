"""
A value of the program under test, written as JSON.

Lists, strings, numbers, booleans and `None` stand for themselves; everything else is an object with one key that says
what it is. Only plain values can be written, so what is read back has no behaviour: an object whose `__eq__` always
says yes arrives as `{"o": "its type"}`, which equals nothing.

| key | value |
|---|---|
| `t`, `s`, `d` | items of a tuple, of a set, pairs of a dictionary |
| `i`, `b`, `c` | a long integer in hexadecimal, bytes in hexadecimal, the parts of a complex number |
| `L`, `T` | the values of a linked list; a binary tree in level order with `None` for a missing child |
| `h` | an object that stays where it is, by number (see `test_runner`) |
| `n` | a name of the program under test |
| `o` | the name of a type that cannot be written |
"""

from collections import deque


MOST_NODES = 1_000_000
DEEPEST = 150
_LONG_BITS = 2_000


class TooLarge(Exception):
    """A value with more parts, or more levels, than are written."""


def encode(value, objects=None):
    """
    Write a value.

    Args:
        value (`Any`):
            The value.
        objects (`list`, *optional*):
            Where objects that cannot be written are kept, to be written as their number.
    """
    left = [MOST_NODES]
    return _encode(value, 0, left, objects)


def _encode(value, depth, left, objects):
    kind = type(value)
    left[0] -= 1
    if depth > DEEPEST or left[0] < 0:
        raise TooLarge(kind.__name__)
    if value is None or kind is bool or kind is str or kind is float:
        return value
    if kind is int:
        return value if value.bit_length() < _LONG_BITS else {"i": hex(value)}
    below = depth + 1
    if kind is list:
        return [_encode(item, below, left, objects) for item in value]
    if kind is tuple:
        return {"t": [_encode(item, below, left, objects) for item in value]}
    if kind is dict:
        pairs = dict.items(value)
        return {"d": [[_encode(k, below, left, objects), _encode(v, below, left, objects)] for k, v in pairs]}
    if kind is set or kind is frozenset:
        return {"s": [_encode(item, below, left, objects) for item in value]}
    if kind is bytes or kind is bytearray:
        return {"b": value.hex()}
    if kind is complex:
        return {"c": [value.real, value.imag]}
    if hasattr(kind, "__written__"):
        return value.__written__()
    plain = _plain(value)
    if plain is not None:
        return _encode(plain[0], below, left, objects)
    nodes = _nodes(value)
    if nodes is not None:
        key, items = nodes
        return {key: [_encode(item, below, left, objects) for item in items]}
    if objects is not None:
        objects.append(value)
        return {"h": len(objects) - 1}
    return {"o": kind.__name__}


def _plain(value):
    """Return in a tuple the plain value that an instance of a subclass equals, `None` where it decides for itself."""
    kind = type(value)
    for base in (int, float, str, tuple, list, dict, set, frozenset):
        if isinstance(value, base):
            own = kind.__eq__ is not base.__eq__
            if own and (base is not dict or kind.__module__ != "collections"):
                return None  # Counter and OrderedDict equal a dictionary with the same items
            return (dict(dict.items(value)),) if base is dict else (base(value),)
    if kind.__module__.partition(".")[0] == "numpy" and hasattr(value, "item") and not getattr(value, "shape", (1,)):
        return (value.item(),)
    if kind.__module__ in ("fractions", "decimal") and value == float(value):
        return (float(value),)
    return None


def _nodes(value):
    if hasattr(value, "val") and hasattr(value, "next"):
        items = []
        while value is not None:
            items.append(value.val)
            value = value.next
            if len(items) > MOST_NODES:
                raise TooLarge("a linked list without end")
        return "L", items
    if hasattr(value, "val") and hasattr(value, "left") and hasattr(value, "right"):
        items, queue = [], deque([value])
        while queue:
            node = queue.popleft()
            items.append(None if node is None else node.val)
            if node is not None:
                queue += (node.left, node.right)
            if len(items) > MOST_NODES:
                raise TooLarge("a tree without end")
        while items[-1] is None:
            items.pop()
        return "T", items
    return None


def decode(written, make):
    """
    Read a value back, as what it was. Only for a process that is itself in a jail: the value may be made to cost much.

    Args:
        written (`Any`):
            What [`encode`] gave, through JSON.
        make (`dict[str, Callable]`):
            How to make what is written under `L`, `T`, `h` and `o`, each from what stands there.
    """
    if type(written) is list:
        return [decode(item, make) for item in written]
    if type(written) is not dict:
        return written
    ((key, inside),) = written.items()
    if key == "t":
        return tuple([decode(item, make) for item in inside])
    if key == "s":
        return {decode(item, make) for item in inside}
    if key == "d":
        return {decode(k, make): decode(v, make) for k, v in inside}
    if key == "i":
        return int(inside, 16)
    if key == "b":
        return bytes.fromhex(inside)
    if key == "c":
        return complex(*inside)
    return make[key]([decode(item, make) for item in inside] if key in "LT" else inside)

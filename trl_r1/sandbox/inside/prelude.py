"""The names that LeetCode's solutions and their tests take for granted."""

# ruff: noqa: F401, F403

import builtins as _builtins
import collections
import datetime
import functools
import heapq
import itertools
import math
import operator
import random
import re
import string
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from math import *
from operator import *
from random import *
from string import *
from typing import *


inf = float("inf")

# `math.pow` takes no modulus and `operator.pow` no default: what Python itself offers stays what it is.
for _name in dir(_builtins):
    if not _name.startswith("_"):
        globals().pop(_name, None)


class ListNode:
    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next


class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val = val
        self.left = left
        self.right = right


# What these need is bound here: a program may give the names of this module another meaning, and often defines its own
# `ListNode`, which takes other arguments.


def list_node(values, _node=ListNode):
    """Make a linked list."""
    head = None
    for value in reversed(values or []):
        head = _node(value, head)
    return head


def tree_node(values, _node=TreeNode, _deque=collections.deque):
    """Make a binary tree from its level order, `None` for a missing child."""
    if not values or values[0] is None:
        return None
    root = _node(values[0])
    waiting, rest = _deque([root]), _deque(values[1:])
    while rest and waiting:
        node = waiting.popleft()
        for side in ("left", "right"):
            value = rest.popleft() if rest else None
            if value is not None:
                child = _node(value)
                setattr(node, side, child)
                waiting.append(child)
    return root


def is_same_list(one, other):
    """Tell whether two linked lists hold the same values."""
    while one is not None and other is not None:
        if one.val != other.val:
            return False
        one, other = one.next, other.next
    return one is None and other is None


def is_same_tree(one, other):
    """Tell whether two binary trees have the same shape and values."""
    waiting = [(one, other)]
    while waiting:
        a, b = waiting.pop()
        if a is None or b is None:
            if a is not b:
                return False
        elif a.val != b.val:
            return False
        else:
            waiting += ((a.left, b.left), (a.right, b.right))
    return True

"""
Test scripts taken apart: `assert f(args) == value` becomes a call for the jail and a value that stays outside.
"""

import ast
import builtins
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """
    One call and what is expected of it.

    Args:
        expression (`str`):
            What is evaluated inside. It holds the arguments and nothing of the expected value.
        relation (`str`):
            `"equal"`, `"is"`, `"true"`, `"false"`, `"close"`, `"list"` (linked), `"tree"`, `"one_of"`.
        expected (`Any`, *optional*):
            A value of plain types.
        tolerance (`float`, *optional*):
            Of the relation `"close"`: the difference must be smaller.
    """

    expression: str
    relation: str
    expected: Any = None
    tolerance: float | None = None


# Around a call, these tell no more of what is expected than the call alone.
_WRAPPERS = frozenset(("sorted", "list", "tuple", "set", "frozenset", "len", "str", "int", "float", "dict", "sum"))
_MADE = {"set": set, "frozenset": frozenset, "tuple": tuple, "list": list, "dict": dict, "float": float}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


class _NotApart(Exception):
    """The script cannot be taken apart."""


def take_apart(script: str, entry_point: str | None = None) -> tuple[tuple[Call, ...], dict[str, str]] | None:
    """
    Take a test script apart.

    Args:
        script (`str`):
            Asserts, at the top level or in a function `check(candidate)`, which the script calls at its end or, for
            HumanEval, is called with `entry_point`.
        entry_point (`str`, *optional*):
            The function under test.

    Returns:
        `tuple[tuple[Call, ...], dict[str, str]]`: the calls, and what the names in them are bound to beforehand
        (`{"candidate": "Solution().twoSum"}`); `None` where something in the script is neither an assert of a known
        form nor without effect.
    """
    try:
        tree = ast.parse(script)
        body, bound = _asserts_of(tree, entry_point)
        calls = [_call(statement.test, bound, entry_point) for statement in body]
    except (SyntaxError, ValueError, RecursionError, MemoryError, _NotApart):
        return None
    found = tuple(call for call in calls if call is not None)
    return (found, bound) if found else None


def _asserts_of(tree: ast.Module, entry_point: str | None) -> tuple[list[ast.Assert], dict[str, str]]:
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    rest = [node for node in tree.body if not isinstance(node, ast.FunctionDef) and not _harmless(node)]
    if not functions:
        if not all(isinstance(node, ast.Assert) for node in rest):
            raise _NotApart
        return rest, {}
    if len(functions) > 1 or len(rest) > 1:
        raise _NotApart
    check = functions[0]
    arguments = [argument.arg for argument in check.args.args]
    if len(arguments) != 1 or check.args.vararg or check.args.kwarg or check.args.kwonlyargs or check.decorator_list:
        raise _NotApart
    if rest:
        call = rest[0].value if isinstance(rest[0], ast.Expr) else None
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != check.name:
            raise _NotApart
        if len(call.args) != 1 or call.keywords:
            raise _NotApart
        bound = ast.unparse(call.args[0])
    elif entry_point is not None and entry_point.isidentifier():
        bound = entry_point
    else:
        raise _NotApart
    inside = [node for node in check.body if not _harmless(node)]
    if not all(isinstance(node, ast.Assert) for node in inside):
        raise _NotApart
    return inside, {arguments[0]: bound}


def _harmless(node: ast.stmt) -> bool:
    """Tell whether a statement does nothing: a docstring, a constant that no assert reads, `pass`."""
    if isinstance(node, ast.Pass):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, (ast.Constant, ast.Name))
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Name) and target.id == "METADATA" for target in node.targets)
    return False


def _call(test: ast.expr, bound: dict[str, str], entry_point: str | None) -> Call | None:
    """Return the call in an assert; `None` where it asserts a constant."""
    known = {*bound, *((entry_point,) if entry_point else ())}

    def asked(node: ast.expr) -> bool:
        """Tell whether a node calls what is under test."""
        if not isinstance(node, ast.Call):
            return False
        if known:
            return isinstance(node.func, ast.Name) and node.func.id in known
        root = node.func
        while isinstance(root, (ast.Attribute, ast.Call)):
            root = root.value if isinstance(root, ast.Attribute) else root.func
        return isinstance(root, ast.Name) and not hasattr(builtins, root.id) and root.id not in _TESTS_OWN

    def expression(node: ast.expr) -> str:
        inner = node
        while not asked(inner):
            single = isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and len(inner.args) == 1
            if not single or inner.func.id not in _WRAPPERS or inner.keywords:
                raise _NotApart
            inner = inner.args[0]
        return ast.unparse(node)

    if isinstance(test, ast.Constant):
        if not test.value:
            raise _NotApart
        return None
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return Call(expression(test.operand), "false")
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left, right, relation = test.left, test.comparators[0], test.ops[0]
        if isinstance(relation, ast.Eq):
            if _is_value(left):
                left, right = right, left
            return Call(expression(left), "equal", _value(right))
        if isinstance(relation, ast.Is):
            value = _value(right)
            if value is not None and not isinstance(value, bool):
                raise _NotApart
            return Call(expression(left), "is", value)
        if isinstance(relation, (ast.Lt, ast.LtE)) and isinstance(left, ast.Call):
            absolute = (isinstance(left.func, ast.Name) and left.func.id == "abs") or (
                isinstance(left.func, ast.Attribute) and ast.unparse(left.func) == "math.fabs"
            )
            inside = left.args[0] if absolute and len(left.args) == 1 else None
            if isinstance(inside, ast.BinOp) and isinstance(inside.op, ast.Sub):
                one, other = inside.left, inside.right
                if _is_value(one):
                    one, other = other, one
                return Call(expression(one), "close", _number(other), _number(right))
        raise _NotApart
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and not test.keywords and len(test.args) == 2:
        kind = {"is_same_list": ("list", "list_node"), "is_same_tree": ("tree", "tree_node")}.get(test.func.id)
        if kind is not None:
            one, other = test.args
            if isinstance(other, ast.Constant) and other.value is None:
                return Call(expression(one), kind[0], [])
            made = isinstance(other, ast.Call) and isinstance(other.func, ast.Name) and other.func.id == kind[1]
            if made and len(other.args) == 1 and not other.keywords:
                return Call(expression(one), kind[0], _value(other.args[0]) or [])
    return Call(expression(test), "true")


_TESTS_OWN = frozenset(("math", "is_same_list", "is_same_tree", "list_node", "tree_node", "isclose", "np", "numpy"))


def _is_value(node: ast.expr) -> bool:
    try:
        _value(node)
    except (_NotApart, ValueError):
        return False
    return True


def _number(node: ast.expr) -> float:
    value = _value(node)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _NotApart
    return value


def _value(node: ast.expr) -> Any:
    """Return the value of an expression made of constants alone."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        items = [_value(item) for item in node.elts]
        made = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return _hashing(made, items)
    if isinstance(node, ast.Dict):
        if any(key is None for key in node.keys):
            raise _NotApart
        keys, values = [_value(key) for key in node.keys], [_value(value) for value in node.values]
        return _hashing(dict, list(zip(keys, values, strict=True)))
    if isinstance(node, ast.UnaryOp):
        value = _value(node.operand)
        if isinstance(node.op, ast.Not):
            return not value
        if isinstance(value, (int, float, complex)) and isinstance(node.op, (ast.USub, ast.UAdd)):
            return -value if isinstance(node.op, ast.USub) else +value
        raise _NotApart
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        left, right = _value(node.left), _value(node.right)
        if not all(isinstance(side, (int, float, complex)) for side in (left, right)):
            raise _NotApart
        if isinstance(node.op, ast.Pow) and not (abs(left) <= 1e6 and abs(right) <= 1000):
            raise _NotApart
        try:
            return _ARITHMETIC[type(node.op)](left, right)
        except ArithmeticError:
            raise _NotApart from None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _MADE and not node.keywords:
        if len(node.args) > 1:
            raise _NotApart
        try:
            return _MADE[node.func.id](*[_value(argument) for argument in node.args])
        except (TypeError, ValueError):
            raise _NotApart from None
    raise _NotApart


def _hashing(make: Callable[[list[Any]], Any], items: list[Any]) -> Any:
    try:
        return make(items)
    except TypeError:
        raise _NotApart from None

"""CloudWatch's metric math, as far as alarms of ours use it: arithmetic and LOG, over one data point of each metric.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping

BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
FUNCTIONS: Mapping[str, Callable[[float], float]] = {"LOG": math.log}


class NotModelled(ValueError):
    """A part of an expression that is not evaluated here."""


def value_of(expression: str, values: Mapping[str, float]) -> float:
    """Return the value of an expression, whose syntax is a part of Python's.

    Raise NotModelled for another function or operator, KeyError for a metric without a value, and ArithmeticError or
    ValueError where CloudWatch has no value either.
    """
    return _value(ast.parse(expression, mode="eval").body, values)


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return BINARY[type(op)](_value(left, values), _value(right, values))
        case ast.Call(func=ast.Name(id=name), args=[argument]) if name in FUNCTIONS:
            return FUNCTIONS[name](_value(argument, values))
    raise NotModelled(f"the local cloud does not evaluate `{ast.unparse(node)}` in an alarm")

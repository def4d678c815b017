"""Errors of the checks of permissions; requests and stacks are answered with them."""


class AccessDenied(Exception):
    """A call that the policies of its caller do not allow, in the words of AWS."""


class NotEvaluated(Exception):
    """A part of a policy, or an operation, of which the local cloud does not know the meaning."""

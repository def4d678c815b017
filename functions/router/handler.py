"""The handler of the router behind the HTTP API, which AWS's client runs: every answer is whole."""

from functions.router.application import application
from functions.router.http.lambda_adapter import adapt_to_lambda

handler = adapt_to_lambda(application(streams=False))

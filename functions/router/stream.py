"""The handler of the router behind the REST API: answers are sent as they are written.

AWS's runtime client, which cannot stream, imports it like any handler, and the loop takes over.
"""

import asyncio

from functions.router.application import application
from functions.router.http.rest_adapter import adapt_to_rest
from functions.runtime.loop import take_over

handler = adapt_to_rest(application(streams=True), asyncio.new_event_loop())
take_over(handler)

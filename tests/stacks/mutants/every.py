"""Every mutation, as `docs/real-account.md` shows them."""

from tests.stacks.mutants import (
    of_canaries,
    of_endpoints,
    of_functions,
    of_gateway,
    of_images,
    of_lifetime,
    of_roles,
    of_scaling,
    of_states,
    of_templates,
)
from tests.stacks.mutants.domains import of_domains
from tests.stacks.mutants.mutation import Mutation
from tests.stacks.mutants.storage import of_weights

# By what is spoilt, in words of the page.
MUTATIONS: dict[str, tuple[Mutation, ...]] = {
    "Functions": of_functions.MUTATIONS,
    "Images": of_images.MUTATIONS,
    "API": of_gateway.MUTATIONS,
    "Custom domain": of_domains.MUTATIONS,
    "Roles": of_roles.MUTATIONS,
    "Endpoints": of_endpoints.MUTATIONS,
    "Scaling": of_scaling.MUTATIONS,
    "Weights in S3": of_weights.MUTATIONS,
    "Shared states": of_states.MUTATIONS,
    "Canaries": of_canaries.MUTATIONS,
    "What stays, and what stacks share": of_lifetime.MUTATIONS,
    "Any template": of_templates.MUTATIONS,
}

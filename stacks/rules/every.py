"""Every rule, in the order in which findings are shown."""

from collections.abc import Iterator

from stacks.rules import (
    canaries,
    endpoints,
    functions,
    gateway,
    images,
    lifetime,
    roles,
    scaling,
    states,
    weights,
)
from stacks.rules.document import Document
from stacks.rules.finding import Finding, Rule

RULES: tuple[Rule, ...] = (
    functions.function_memory,
    functions.function_timeout,
    functions.function_log,
    functions.snapshot_kept_started,
    functions.snapshot_unpublished,
    functions.event_kept,
    images.image_platform,
    images.base_pinned,
    images.gpu_visible,
    gateway.integration_timeout,
    gateway.streams_what_streams,
    gateway.payload_version,
    gateway.invokes_alias,
    gateway.stage_throttle,
    gateway.public_function,
    gateway.access_log_name,
    gateway.domain_tls,
    gateway.domain_mapped,
    gateway.domain_certificate,
    gateway.domain_record,
    roles.policies_first,
    roles.policy_of_alias,
    roles.policy_of_component,
    roles.role_trusted,
    roles.role_pulls_image,
    roles.trust_narrowed,
    roles.network_isolated,
    endpoints.create_only_name,
    endpoints.ami_fits_cuda,
    endpoints.own_disk,
    endpoints.room_for_update,
    endpoints.endpoint_role,
    endpoints.variant_of_components,
    endpoints.copies_at_creation,
    endpoints.endpoint_of_instance,
    endpoints.component_waits,
    endpoints.endpoint_log,
    scaling.scaled_component,
    scaling.wakes_again,
    scaling.target_waits,
    scaling.rolling_batch,
    weights.uploads_end,
    weights.weights_as_files,
    weights.weights_awaited,
    weights.weights_readable,
    weights.accelerators_of_vllm,
    states.rows_expire,
    states.schedule_permitted,
    lifetime.log_expires,
    lifetime.kept_after_stack,
    lifetime.shared_by_stacks,
    lifetime.custom_resource_timeout,
    lifetime.custom_resource_left,
    lifetime.release_waits,
    canaries.canary_probed,
    canaries.canary_watched,
    canaries.canary_compared,
    canaries.canary_taken_back,
)


def code_of(rule: Rule) -> str:
    """Return the code that a rule's findings are reported under."""
    return rule.__name__


def check(stack: Document) -> Iterator[tuple[Rule, Finding]]:
    """Yield each finding about a stack, with the rule that it breaks."""
    for rule in RULES:
        for finding in rule(stack):
            yield rule, finding

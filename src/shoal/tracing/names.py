"""Every name that leaves this program in a span or a metric.

The conventions for generative AI are still in development, so names change between their versions: they are
written here only, one set a version. What the conventions do not have stands under `shoal.`, except for the
names that others agreed on first: OpenInference's span kind, and aggregated usage, which keeps a backend that
sums up spans from counting tokens twice.

Sources: OpenTelemetry semantic conventions 1.41 (docs/gen-ai), and their successor repository
semantic-conventions-genai as of November 2026.
"""

from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["DURATION_BUCKETS_S", "NAMES", "TOKEN_BUCKETS", "Convention", "Names"]

Convention = Literal["1.41", "2026-11"]

DURATION_BUCKETS_S = tuple(0.01 * 2**power for power in range(14))
TOKEN_BUCKETS = tuple(4**power for power in range(14))


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    convention: Convention
    schema_url: str | None
    # Operations, also the first word of span names.
    workflow: str = "invoke_workflow"
    agent: str = "invoke_agent"
    chat: str = "chat"
    embeddings: str = "embeddings"
    retrieval: str = "retrieval"
    tool: str = "execute_tool"
    route: str = "route"
    # Attributes of the conventions.
    operation_name: str = "gen_ai.operation.name"
    provider_name: str = "gen_ai.provider.name"
    workflow_name: str = "gen_ai.workflow.name"
    conversation_id: str = "gen_ai.conversation.id"
    agent_name: str = "gen_ai.agent.name"
    agent_description: str = "gen_ai.agent.description"
    request_model: str = "gen_ai.request.model"
    request_stream: str = "gen_ai.request.stream"
    temperature: str = "gen_ai.request.temperature"
    top_p: str = "gen_ai.request.top_p"
    top_k: str = "gen_ai.request.top_k"
    seed: str = "gen_ai.request.seed"
    max_tokens: str = "gen_ai.request.max_tokens"
    stop_sequences: str = "gen_ai.request.stop_sequences"
    output_type: str = "gen_ai.output.type"
    response_model: str = "gen_ai.response.model"
    finish_reasons: str = "gen_ai.response.finish_reasons"
    time_to_first_chunk: str = "gen_ai.response.time_to_first_chunk"
    input_tokens: str = "gen_ai.usage.input_tokens"
    output_tokens: str = "gen_ai.usage.output_tokens"
    cached_tokens: str = "gen_ai.usage.cache_read.input_tokens"
    input_messages: str = "gen_ai.input.messages"
    output_messages: str = "gen_ai.output.messages"
    data_source_id: str = "gen_ai.data_source.id"
    embedding_dimensions: str = "gen_ai.embeddings.dimension.count"
    tool_name: str = "gen_ai.tool.name"
    tool_type: str = "gen_ai.tool.type"
    tool_call_id: str = "gen_ai.tool.call.id"
    error_type: str = "error.type"
    # Attributes others use.
    aggregated_input_tokens: str = "gen_ai.aggregated_usage.input_tokens"
    aggregated_output_tokens: str = "gen_ai.aggregated_usage.output_tokens"
    aggregated_cached_tokens: str = "gen_ai.aggregated_usage.cache_read.input_tokens"
    openinference_kind: str = "openinference.span.kind"
    cost_amount: str = "gen_ai.usage.cost.amount"
    cost_currency: str = "gen_ai.usage.cost.currency"
    cost_source: str = "gen_ai.usage.cost.source"
    # Attributes of Shoal.
    run_id: str = "shoal.run.id"
    step_id: str = "shoal.step.id"
    call_id: str = "shoal.call.id"
    call_purpose: str = "shoal.call.purpose"
    call_attempt: str = "shoal.call.attempt"
    call_digest: str = "shoal.call.digest"
    call_adapter: str = "shoal.call.adapter"
    call_remote: str = "shoal.call.remote"
    call_from_cache: str = "shoal.call.from_cache"
    queue_s: str = "shoal.call.queue_s"
    load_s: str = "shoal.call.load_s"
    prefill_s: str = "shoal.call.prefill_s"
    decode_s: str = "shoal.call.decode_s"
    energy_j: str = "shoal.energy.joules"
    energy_method: str = "shoal.energy.method"
    route_selected: str = "shoal.route.selected"
    route_confidence: str = "shoal.route.confidence"
    route_calibrated: str = "shoal.route.calibrated"
    route_margin: str = "shoal.route.margin"
    route_threshold: str = "shoal.route.threshold"
    route_candidates: str = "shoal.route.candidates"
    route_abstained: str = "shoal.route.abstained"
    escalation_triggered: str = "shoal.escalation.triggered"
    escalation_reason: str = "shoal.escalation.reason"
    escalation_from: str = "shoal.escalation.from_model"
    escalation_to: str = "shoal.escalation.to_model"
    # Metrics.
    metric_duration: str
    metric_first_chunk: str
    metric_input_tokens: str
    metric_output_tokens: str
    token_type: str | None
    """Attribute that tells input from output where both are one metric; None = they are two."""


_V1_41 = Names(
    convention="1.41",
    schema_url="https://opentelemetry.io/schemas/1.41.0",
    metric_duration="gen_ai.client.operation.duration",
    metric_first_chunk="gen_ai.client.operation.time_to_first_chunk",
    metric_input_tokens="gen_ai.client.token.usage",
    metric_output_tokens="gen_ai.client.token.usage",
    token_type="gen_ai.token.type",  # noqa: S106  a name, not a secret
)

NAMES: dict[Convention, Names] = {
    "1.41": _V1_41,
    "2026-11": replace(
        _V1_41,
        convention="2026-11",
        schema_url=None,
        metric_duration="gen_ai.client.inference.duration",
        metric_first_chunk="gen_ai.client.inference.time_to_first_chunk",
        metric_input_tokens="gen_ai.client.inference.operation.input_tokens",
        metric_output_tokens="gen_ai.client.inference.operation.output_tokens",
        token_type=None,
    ),
}

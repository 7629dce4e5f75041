"""What the operator sets, from the environment (or a `.env` file) and the command line."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SIMULATED_KEY = "simulated"


class Settings(BaseSettings):
    """Environment variables carry the prefix PENSTOCK_, but for the names that the field already has.

    >>> Settings(_env_file=None, bootstrap_servers="kafka:9092").bootstrap_servers
    'kafka:9092'
    """

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_", env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True
    )

    app: str = Field("penstock", description="Prefix of consumer groups, client ids and transactional ids.")
    data_dir: Path = Field(Path(".penstock"), description="Where the embedded services keep their data.")
    state_dir: Path | None = Field(None, description="Where roles keep state that the log can rebuild; None: in `data_dir`.")
    bootstrap_servers: str | None = Field(None, description="Your own Kafka; None starts the embedded one.")
    redis_url: str | None = Field(None, validation_alias="REDIS_URL", description="Your own Valkey or Redis.")
    schema_registry_url: str | None = Field(None, validation_alias="SCHEMA_REGISTRY_URL")
    schema_registry_user: str | None = Field(None, validation_alias="SCHEMA_REGISTRY_USER")
    schema_registry_password: SecretStr | None = Field(None, validation_alias="SCHEMA_REGISTRY_PASSWORD")
    deployments_file: Path | None = Field(
        None, description="YAML catalogue of providers and deployments; None: the built-in one."
    )
    prices_file: Path | None = Field(None, description="YAML of your own prices, by provider and model.")
    simulator_url: str | None = Field(None, description="Calls of every provider go to this simulator.")

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None

    partitions: int = Field(2, ge=1, le=1024, description="Partitions of plain topics and lanes of the dispatcher, chosen once.")
    replication_factor: int = Field(1, ge=1)
    session_timeout_ms: int = Field(10_000, ge=1_000)
    transaction_timeout_ms: int = Field(30_000, ge=1_000)

    request_timeout_s: float = Field(600.0, gt=0, description="Deadline of requests that name none, from their timestamp.")
    max_attempts: int = Field(8, ge=1, description="Calls of one request at most, across all providers.")
    retry_base_s: float = Field(0.5, gt=0)
    retry_cap_s: float = Field(30.0, gt=0)
    retry_indeterminate: bool = Field(True, description="Call again after a call that may have been billed.")
    lost_grace_s: float = Field(
        10.0, ge=0, description="A started call with no report counts as lost this long after its timeout."
    )
    dedupe_horizon_s: float = Field(86_400.0, gt=0, description="How long a finished request_id is remembered.")
    drain_timeout_s: float = Field(25.0, gt=0, description="How long SIGTERM waits for calls in flight.")
    cache_ttl_s: int = Field(3_600, ge=1)
    cache_secret: SecretStr | None = Field(
        None, min_length=16, description="Seals kept answers; None: one that is made once for the data directory."
    )
    cache_timeout_ms: int = Field(50, ge=1, description="A cache that is slower counts as a miss.")
    l1_cache_entries: int = Field(10_000, ge=0)
    semantic_cache_entries: int = Field(50_000, ge=1, description="Questions whose answers other wordings may meet; 2 KB each.")
    semantic_embedder: Literal["wordllama", "minilm"] = Field("wordllama", description="minilm needs the extra of that name.")
    semantic_device: Literal["cpu", "cuda"] = Field("cpu", description="Where minilm runs.")
    single_flight: bool = Field(True, description="Identical open requests share one call.")
    quality_model_file: Path | None = Field(None, description="Says which prompts gain by dear models; None: the built-in one.")
    environment: str | None = Field(None, description="Where this runs, such as development or production: routing may go by it.")
    intake_batch: int = Field(256, ge=1)
    edge_address: str = Field("127.0.0.1", description="The address that the HTTP edge binds.")
    edge_port: int = Field(8080, ge=1, le=65_535, description="The port of the HTTP edge; its processes share it.")
    edge_insecure_local: bool = Field(False, description="Serve without keys, on the loopback interface alone.")
    key_secret: SecretStr | None = Field(
        None, min_length=16, description="Checks the edge's keys; None: one that is made once for the data directory."
    )
    batch_in_flight: int = Field(16, ge=1, description="Requests of one batch that are under way at once.")
    webhooks_ports: str = Field(
        "443", pattern=r"^\d{1,5}(,\d{1,5})*$", description="Ports that webhooks may be sent to, with commas between."
    )
    webhooks_retry_s: str = Field(
        "5,300,1800,7200,18000,36000,50400,72000,86400", description="The waits before a webhook's second try, third, and so on."
    )
    webhooks_disable_after_s: float = Field(432_000.0, gt=0, description="An endpoint that fails for so long is disabled.")
    webhooks_allow_insecure_local: bool = Field(False, description="Webhooks may go over http to loopback: tests and demos.")
    jwt_jwks_url: str | None = Field(None, description="The public keys of an issuer whose JWTs do beside keys; None: none do.")
    jwt_issuer: str | None = Field(None, description="The `iss` of these tokens.")
    jwt_audience: str | None = Field(None, description="What their `aud` must hold.")
    jwt_tenant_claim: str = Field("tenant", min_length=1, description="The claim that names the tenant.")
    jwt_roles_claim: str = Field("roles", min_length=1, description="The claim that lists publish, read, admin.")
    metrics_port: int | None = Field(None, ge=0, le=65_535, description="Where Prometheus reads this process; 0: any free port.")
    metrics_address: str = Field("127.0.0.1", description="The address that the metrics are served on.")
    probe_after_s: float = Field(60.0, gt=0, description="Without a call for so long, a deployment is probed.")
    probe_every_s: float = Field(60.0, gt=0, description="How often a deployment without calls is probed.")
    log_level: str = "INFO"

    def kafka_security(self) -> dict[str, Any]:
        """Security arguments of an aiokafka client. Raises SettingsError when a certificate cannot be read."""
        from streams.kafka_security import client_arguments  # noqa: PLC0415 - ssl is only loaded when it is used

        return client_arguments(self)

    def state_root(self, role: str) -> Path:
        """Where the processes of a role keep their state, each in a directory of its own below it."""
        return (self.state_dir or self.data_dir / "state") / role

    def group(self, role: str) -> str:
        """The consumer group of a role, `<app>-<role>`."""
        return f"{self.app}-{role.replace(':', '-')}"

    def transactional_id(self, partition: int) -> str:
        """The dispatcher's transactional id for one lane partition: one partition, one writer."""
        return f"{self.app}-dispatch-{partition}"

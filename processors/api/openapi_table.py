"""Every path of the edge that has a description, whichever of them are mounted, and the schemas that they refer to."""

from processors.api import batch_openapi, openapi_asking, openapi_operations, openapi_registry, openapi_webhooks
from processors.api.openapi_bodies import BODIES
from processors.api.openapi_schemas import components

_PARTS = (batch_openapi, openapi_webhooks, openapi_operations)
TABLE = (*openapi_asking.TABLE, *(each for part in _PARTS for each in part.TABLE), *openapi_registry.TABLE)
SCHEMAS = {**components(), **BODIES, **{name: schema for part in _PARTS for name, schema in part.SCHEMAS.items()}}

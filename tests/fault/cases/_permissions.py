"""Topic configuration, deletion and ACLs, on a broker that runs with an authorizer."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from tests.fault.rig import Rig

AUTHORIZED: Mapping[str, str] = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
"""Broker properties. Everybody on the loopback listener is User:ANONYMOUS, and may do what no ACL speaks of."""

_TOPIC, _LITERAL = 2, 3
_ANY, _READ, _DESCRIBE = 1, 3, 8
_ALLOW = 3
_EVERYBODY = "User:ANONYMOUS"


@asynccontextmanager
async def admin_of(rig: Rig) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.stack.bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def set_topic_config(admin: AIOKafkaAdminClient, topic: str, config: Mapping[str, str]) -> None:
    """Replaces the whole configuration of the topic."""
    for reply in await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dict(config))]):
        for code, message, *_ in reply.resources:
            _check(code, message)


async def take_write_permission(admin: AIOKafkaAdminClient, topic: str) -> None:
    """From now on everybody may read the topic, and nobody may write it."""
    for operation in (_READ, _DESCRIBE):
        request = CreateAclsRequest(_TOPIC, topic, _LITERAL, _EVERYBODY, "*", operation, _ALLOW)
        reply = await admin._send_request(request)
        for code, message in reply.creation_responses:
            _check(code, message)


async def give_back_permission(admin: AIOKafkaAdminClient, topic: str) -> None:
    """No ACL speaks of the topic any more."""
    reply = await admin._send_request(DeleteAclsRequest(_TOPIC, topic, _LITERAL, None, None, _ANY, _ANY))
    for code, message, *_ in reply.filter_responses:
        _check(code, message)


def _check(code: int, message: str | None) -> None:
    if code != 0:
        raise for_code(code)(message)

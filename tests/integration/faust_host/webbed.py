"""Faust's own command line, for the test that no port opens: `… webbed stock|ours BOOTSTRAP TOPIC worker …`."""

import sys
import uuid
from typing import Any

import faust

from streams.faust_host import host


def declared(kind: str, bootstrap_servers: str, topic: str) -> faust.App:
    group = f"group-{uuid.uuid4().hex[:12]}"
    if kind == "ours":
        app = host(group, bootstrap_servers=bootstrap_servers).app
    else:
        app = faust.App(group, broker=f"kafka://{bootstrap_servers}", web_enabled=False, topic_disable_leader=True)

    @app.agent(app.topic(topic), name="a")
    async def agent(stream: Any) -> None:
        async for _ in stream:
            pass

    return app


if __name__ == "__main__":
    arguments = sys.argv[1:4]
    del sys.argv[1:4]
    declared(*arguments).main()

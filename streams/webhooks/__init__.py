"""The role `webhooks`: tells endpoints over HTTP of what became of requests. The one role that calls addresses of strangers."""

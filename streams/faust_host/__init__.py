"""Faust, tamed: the app factory, our consumer, and the ways to consume."""

from streams.faust_host.consume import batches, each
from streams.faust_host.delivered import Delivered
from streams.faust_host.host import Host, HostFailed, host
from streams.faust_host.options import HostOptions
from streams.faust_host.view import View

__all__ = ["Delivered", "Host", "HostFailed", "HostOptions", "View", "batches", "each", "host"]

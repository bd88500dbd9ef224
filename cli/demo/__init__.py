"""`wallet demo`: the whole service on this machine, under load, with a crash, and proven."""

from cli.demo.command import demo

__all__ = ["demo"]

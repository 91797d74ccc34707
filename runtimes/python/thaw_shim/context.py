"""The ``context`` that handlers, initializers and hooks get: Function Compute's, attribute by attribute."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger


class _Record:
    """Named values; what a user sees when printing one is their list."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)

    def __repr__(self) -> str:
        return "%s(%s)" % (type(self).__name__, ", ".join("%s=%r" % item for item in vars(self).items()))


class Credentials(_Record):
    """``access_key_id``, ``access_key_secret`` and ``security_token``."""

    def __repr__(self) -> str:
        return "Credentials(...)"


class FunctionMeta(_Record):
    """``name``, ``handler``, ``memory`` (MB), ``timeout`` (seconds), ``version_id`` and ``qualifier``."""


class ServiceMeta(_Record):
    """``name``, ``log_project``, ``log_store``, ``qualifier`` and ``version_id``, as in Function Compute 2.0."""


class Tracing(_Record):
    """``open_tracing_span_context``, ``open_tracing_span_baggages`` and ``jaeger_endpoint``."""


class Context:
    """What user code may know about the invocation and the function."""

    def __init__(self, contexts: Contexts, head: dict) -> None:
        self.request_id = head.get("id", "")
        self.retry_count = head.get("retry", 0)
        self.region = contexts.region
        self.account_id = contexts.account_id
        self.log_project = contexts.log_project
        self.log_store = contexts.log_store
        self.credentials = contexts.credentials
        self.tracing = contexts.tracing
        self.function, self.service = contexts.meta(head)

    @property
    def logger(self) -> Logger:
        """The root logger, whose lines carry the time, the request's id and the level."""
        import logging

        return logging.getLogger()


class Contexts:
    """What all contexts of one instance have in common."""

    def __init__(self, specialize: dict) -> None:
        self._function = function = specialize["function"]
        self.region = specialize.get("region", "")
        self.account_id = specialize.get("accountId", "")
        self.log_project = specialize.get("logProject", "")
        self.log_store = specialize.get("logStore", "")
        # The platform lends no keys; what the function's owner put into the environment is theirs to use.
        self.credentials = Credentials(
            access_key_id=os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID", ""),
            access_key_secret=os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ""),
            security_token=os.environ.get("ALIBABA_CLOUD_SECURITY_TOKEN", ""),
        )
        self.tracing = Tracing(open_tracing_span_context="", open_tracing_span_baggages={}, jaeger_endpoint="")
        self._versions = (function.get("versionId", ""), function.get("qualifier", ""))
        self._meta = self._describe(*self._versions)

    def meta(self, head: dict) -> tuple[FunctionMeta, ServiceMeta]:
        """Function and service as one request names them: aliases share instances."""
        version_id, qualifier = self._versions
        versions = (head.get("versionId", version_id), head.get("qualifier", qualifier))
        return self._meta if versions == self._versions else self._describe(*versions)

    def _describe(self, version_id: str, qualifier: str) -> tuple[FunctionMeta, ServiceMeta]:
        function = self._function
        return (
            FunctionMeta(
                name=function.get("name", ""),
                handler=function.get("handler", ""),
                memory=function.get("memory", 0),
                timeout=function.get("timeout", 0),
                version_id=version_id,
                qualifier=qualifier,
            ),
            ServiceMeta(
                name="",
                log_project=self.log_project,
                log_store=self.log_store,
                qualifier=qualifier,
                version_id=version_id,
            ),
        )

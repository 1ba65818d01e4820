"""XML-RPC calls from untrusted clients: parsed without DTD and entities, answered with a value or a fault.

This module has only the format; `koschey.web.xmlrpc` has the methods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from xmlrpc.client import Fault, Unmarshaller, dumps

from defusedxml.xmlrpc import DefusedExpatParser

from koschey.standards.xml_text import clean_xml

type Value = str | int | Sequence["Value"] | Mapping[str, "Value"] | None
"""The value of an answer."""


class FaultCode(IntEnum):
    """Codes on which servers agree for the faults of a call."""

    NOT_WELL_FORMED = -32700
    UNKNOWN_METHOD = -32601
    INVALID_PARAMETERS = -32602
    REFUSED = -32500
    """The method exists on the public index, but cannot be used."""


class CallFault(Exception):
    """A call that is answered with a fault; not an error of the server."""

    def __init__(self, code: FaultCode, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class MethodCall:
    """One method call."""

    method: str
    parameters: tuple[Any, ...]


def parse_call(body: bytes) -> MethodCall:
    """Read a method call. Raises `CallFault` for anything else."""
    target = Unmarshaller()
    parser = DefusedExpatParser(target, forbid_dtd=True)
    try:
        parser.feed(body)
        parser.close()
        parameters, method = tuple(target.close()), target.getmethodname()
    except Exception as error:  # noqa: BLE001 - on hostile input the library may raise anything
        raise CallFault(
            FaultCode.NOT_WELL_FORMED, f"parse error: not an XML-RPC call ({type(error).__name__})"
        ) from None
    if not method:
        raise CallFault(FaultCode.NOT_WELL_FORMED, "parse error: no methodName")
    return MethodCall(method, parameters)


def render_value(value: Value) -> bytes:
    """Render the answer to a call."""
    return _document(dumps((_clean(value),), methodresponse=True, allow_none=True))


def render_fault(fault: CallFault) -> bytes:
    """Render a fault as the answer to a call."""
    return _document(dumps(Fault(int(fault.code), clean_xml(str(fault))), methodresponse=True))


def _document(text: str) -> bytes:
    return text.encode()


def _clean(value: Value) -> Any:
    match value:
        case str():
            return clean_xml(value)
        case Mapping():
            return {clean_xml(key): _clean(item) for key, item in value.items()}
        case None | int():
            return value
    return [_clean(item) for item in value]

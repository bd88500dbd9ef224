"""The OpenAPI documents: valid, complete, and of one mind with what reads and answers."""

import json
import re
from http import HTTPStatus
from typing import Any
from unittest.mock import Mock, patch

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from litestar import Litestar
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.app import create_app, versions
from api.bodies import decode_body
from api.calls import NoBody, Operation
from api.errors import ApiError, PathMissingError, ResourceMissingError, TokenInvalidError
from api.openapi.document import document
from api.openapi.examples import answer_example, body_example
from api.openapi.failures import FAILURES
from api.operations import OPERATIONS
from api.secret_keys import SecretKeys
from engine.settings import Settings
from schemas.money import MINOR_UNIT_DIGITS

VERSIONS = versions("https://wallets.example.com", SecretKeys(("k" * 32,)))
DOCUMENTS = {name: document(version, OPERATIONS) for name, version in VERSIONS.items()}
WITH_BODY = [each for each in OPERATIONS if each.body is not NoBody]


@pytest.fixture(params=sorted(VERSIONS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def described(name: str, operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENTS[name]["paths"][operation.path][operation.method.lower()]
    return found


def resolved(name: str, node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = DOCUMENTS[name]
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def validator(name: str, schema: dict[str, Any]) -> Draft202012Validator:
    whole = {**schema, "components": DOCUMENTS[name]["components"]}
    return Draft202012Validator(whole, format_checker=FormatChecker())


def content(node: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = node["content"]["application/json"]
    return found


def answer(name: str, operation: Operation, status: HTTPStatus) -> dict[str, Any]:
    return resolved(name, described(name, operation)["responses"][str(status.value)])


def parameter_names(name: str, operation: Operation, place: str) -> list[str]:
    found = [resolved(name, each) for each in described(name, operation)["parameters"]]
    return [each["name"] for each in found if each["in"] == place]


def test_document_is_valid(name: str) -> None:
    OpenAPIV31SpecValidator(DOCUMENTS[name]).validate()


def test_document_is_json_and_the_same_every_time(name: str) -> None:
    again = document(VERSIONS[name], OPERATIONS)
    assert json.dumps(again) == json.dumps(DOCUMENTS[name])


def test_every_operation_is_described_and_nothing_else(name: str) -> None:
    paths = DOCUMENTS[name]["paths"]
    found = {(path, method.upper()) for path, item in paths.items() for method in item}
    assert found == {(each.path, each.method) for each in OPERATIONS}
    assert {described(name, each)["operationId"] for each in OPERATIONS} == {
        each.name for each in OPERATIONS
    }
    assert len({each.name for each in OPERATIONS}) == len(OPERATIONS)


def test_every_component_is_referred_to(name: str) -> None:
    components = DOCUMENTS[name]["components"]
    text = json.dumps(DOCUMENTS[name])
    for kind in ("schemas", "responses", "parameters", "headers"):
        for each in components[kind]:
            assert f'"#/components/{kind}/{each}"' in text, each


def test_every_tag_is_told_of(name: str) -> None:
    told = {tag["name"] for tag in DOCUMENTS[name]["tags"]}
    assert told == {tag for each in OPERATIONS for tag in described(name, each)["tags"]}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_scope_and_credentials(name: str, operation: Operation) -> None:
    found = described(name, operation)
    assert found["security"] == [{"basic": [operation.scope]}, {"bearer": [operation.scope]}]
    assert f"`{operation.scope}`" in found["description"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_parameters_are_those_that_the_operation_reads(name: str, operation: Operation) -> None:
    in_path = re.findall(r"\{(\w+)\}", operation.path)
    assert parameter_names(name, operation, "path") == in_path
    known = {field.encode_name for field in msgspec.structs.fields(operation.query)}
    assert set(parameter_names(name, operation, "query")) == known - VERSIONS[name].hidden
    posts = operation.method == "POST"
    assert parameter_names(name, operation, "header") == (["Idempotency-Key"] if posts else [])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_ids_in_paths_have_their_shape(name: str, operation: Operation) -> None:
    for each in described(name, operation)["parameters"]:
        parameter = resolved(name, each)
        if parameter["in"] == "path":
            shape = validator(name, parameter["schema"])
            shape.validate(parameter["schema"]["examples"][0])
            assert not shape.is_valid("nothing")
            assert not shape.is_valid(parameter["schema"]["examples"][0] + "\n")


def test_no_parameter_takes_null(name: str) -> None:
    for operation in OPERATIONS:
        for each in described(name, operation)["parameters"]:
            parameter = resolved(name, each)
            assert not validator(name, parameter["schema"]).is_valid(None), parameter["name"]
            assert parameter["schema"].get("default", 0) is not None


def test_currencies_are_named_one_by_one(name: str) -> None:
    (listing,) = (each for each in OPERATIONS if each.name == "listWallets")
    (currency,) = (
        resolved(name, each["schema"])
        for each in described(name, listing)["parameters"]
        if each.get("name") == "currency"
    )
    assert currency["enum"] == sorted(MINOR_UNIT_DIGITS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_answers_and_refusals(name: str, operation: Operation) -> None:
    statuses = {HTTPStatus(int(each)) for each in described(name, operation)["responses"]}
    assert {operation.status, *operation.refusals} <= statuses
    assert {400, 401, 403, 429, 500, 503} <= statuses
    assert ("{" in operation.path) <= (404 in statuses)
    assert (operation.method == "POST") <= (409 in statuses)
    assert {408, 413} <= statuses
    for status in statuses:
        found = answer(name, operation, status)
        assert "X-Request-Id" in found["headers"]
        assert ("Retry-After" in found["headers"]) == (status in (429, 503))
        assert ("WWW-Authenticate" in found["headers"]) == (status == 401)


def test_a_repeated_creation_may_find_the_customer_deleted(name: str) -> None:
    (creation,) = (each for each in OPERATIONS if each.name == "createCustomer")
    assert "404" in described(name, creation)["responses"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_example_of_an_answer_is_one_and_shows_every_field(
    name: str, operation: Operation
) -> None:
    media = content(answer(name, operation, operation.status))
    assert media["example"] == answer_example(VERSIONS[name], operation)
    validator(name, media["schema"]).validate(media["example"])
    shown = media["example"]["data"][0] if operation.listed else media["example"]
    kind = operation.v1_answer if name == "v1" and operation.v1_answer else operation.answer
    needed = {field.encode_name for field in msgspec.structs.fields(kind)}
    assert set(shown) <= needed
    assert needed - set(shown) <= {"expires_at"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_lists_say_where_they_go_on(name: str, operation: Operation) -> None:
    schema = resolved(name, content(answer(name, operation, operation.status))["schema"])
    ends = {"v1": {"data", "has_more"}, "v2": {"data", "next_cursor", "prev_cursor"}}[name]
    assert (set(schema["properties"]) == ends) == operation.listed
    assert not operation.listed or set(schema["required"]) == ends


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda each: each.name)
def test_example_of_a_body_is_read(name: str, operation: Operation) -> None:
    media = content(described(name, operation)["requestBody"])
    assert media["example"] == body_example(operation)
    validator(name, media["schema"]).validate(media["example"])
    decode_body(json.dumps(media["example"]).encode(), operation.body, strict=True)


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda each: each.name)
def test_unknown_fields_are_refused_where_they_are(name: str, operation: Operation) -> None:
    media = content(described(name, operation)["requestBody"])
    surprising = {**media["example"], "surprise": 1}
    assert validator(name, media["schema"]).is_valid(surprising) == (not VERSIONS[name].strict)


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda each: each.name)
def test_what_may_be_absent_may_be_null(name: str, operation: Operation) -> None:
    media = content(described(name, operation)["requestBody"])
    needed = set(resolved(name, media["schema"])["required"])
    for field in msgspec.structs.fields(operation.body):
        body = {**media["example"], field.encode_name: None}
        optional = field.encode_name not in needed
        assert optional == (not field.required)
        may_be_null = optional and field.name not in getattr(operation.body, "never_cleared", ())
        assert validator(name, media["schema"]).is_valid(body) == may_be_null
        if may_be_null:
            decode_body(json.dumps(body).encode(), operation.body, strict=True)


def test_operations_without_a_body_describe_none(name: str) -> None:
    for operation in OPERATIONS:
        assert ("requestBody" in described(name, operation)) == (operation in WITH_BODY)


@pytest.mark.parametrize("status", FAILURES)
def test_a_failure_is_presented_as_described(name: str, status: HTTPStatus) -> None:
    failure = FAILURES[status]
    media = content(DOCUMENTS[name]["components"]["responses"][failure.name])
    shape = validator(name, media["schema"])
    assert failure.samples
    for error in failure.samples:
        assert error.status == status
        presented = msgspec.to_builtins(VERSIONS[name].present_failure(error))
        assert media["examples"][error.code]["value"] == presented
        shape.validate(presented)
        for field in presented:
            assert not shape.is_valid({key: presented[key] for key in presented if key != field})


def test_in_version_1_only_a_401_has_a_message() -> None:
    failures = DOCUMENTS["v1"]["components"]["responses"]
    for failure in FAILURES.values():
        fields = set(resolved("v1", content(failures[failure.name])["schema"])["properties"])
        sentence = "message" if failure.name == "Unauthorized" else "error"
        assert fields == {"success", sentence}


def test_version_2_shows_code_and_docs_url() -> None:
    presented = VERSIONS["v2"].present_failure(TokenInvalidError())
    failures = DOCUMENTS["v2"]["components"]["responses"]
    schema = resolved("v2", content(failures["Unauthorized"])["schema"])
    detail = resolved("v2", schema["properties"]["error"])
    assert set(detail["required"]) == {"code", "message", "docs_url"}
    validator("v2", schema).validate(msgspec.to_builtins(presented))


def _kinds(kind: type[ApiError]) -> list[type[ApiError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in _kinds(below))]


def test_every_status_of_an_error_is_described() -> None:
    statuses = {kind.status for kind in _kinds(ApiError)}
    # a path or a method that is in the document is never refused as unknown
    assert statuses - set(FAILURES) == {HTTPStatus.METHOD_NOT_ALLOWED}
    assert PathMissingError.status == ResourceMissingError.status == HTTPStatus.NOT_FOUND


def _routes() -> set[tuple[str, str]]:
    """Every method and path under a version, as the application routes them."""
    services = Mock(
        settings=Settings(),
        secret_keys=SecretKeys(("k" * 32,)),
        public_url="https://w.example.com",
    )
    made: list[Litestar] = []

    def make(**options: Any) -> Litestar:
        made.append(Litestar(**options))
        return made[-1]

    with patch("api.app.Litestar", make):
        create_app(services, Mock(), Mock(), Mock())
    (application,) = made
    return {
        (method, re.sub(r":\w+}", "}", route.path))
        for route in application.routes
        for method in route.methods
        if route.path.startswith(tuple(f"/{name}/" for name in VERSIONS))
    }


def test_every_route_is_described_and_every_description_is_routed() -> None:
    pages = {("GET", f"/{name}/{page}") for name in VERSIONS for page in ("docs", "openapi.json")}
    assert {(method, path) for method, path in _routes() if method != "OPTIONS"} - pages == {
        (method.upper(), f"/{name}{path}")
        for name in VERSIONS
        for path, item in DOCUMENTS[name]["paths"].items()
        for method in item
    }

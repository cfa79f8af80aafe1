"""Declarations and built-in tools."""

from __future__ import annotations

from typing import Any

import pytest

from vivavoce.domain.content import Behavior, BuiltinTool, Tools
from vivavoce.errors import ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.base import Reading, read_model
from vivavoce.protocol.decode import ClientMessage
from vivavoce.protocol.tools import MAX_DECLARATIONS, domain_tools


def tools(*wire: dict[str, Any], strict: bool = False) -> Tools:
    payload = {"setup": {"model": "m", "tools": list(wire)}}
    message = read_model(ClientMessage, payload, Reading(strict))
    assert message.setup is not None
    return domain_tools(message.setup.tools, "setup.tools", Reading(strict))


def declared(**fields: Any) -> Any:
    [function] = tools({"functionDeclarations": [{"name": "f"} | fields]}).functions
    return function


@pytest.mark.parametrize("name", ["f", "_f", "a.b:c-d_e", "A1", "x" * 128])
def test_names_of_functions(name: str) -> None:
    assert declared(name=name).name == name


@pytest.mark.parametrize("name", ["", "1f", "-f", "a b", "é", "f\n", "x" * 129, None])
def test_bad_names_are_refused_with_their_place(name: str | None) -> None:
    with pytest.raises(ClientFault) as caught:
        tools({}, {"functionDeclarations": [{"name": "ok"}, {"name": name}]})
    assert caught.value.reason.startswith(
        "Invalid function name at 'setup.tools[1].function_declarations[1].name'"
    )


def test_one_name_is_declared_once() -> None:
    with pytest.raises(ClientFault, match="Duplicate function declaration found: f"):
        tools({"functionDeclarations": [{"name": "f"}]}, {"functionDeclarations": {"name": "f"}})


def test_the_number_of_declarations_has_a_limit() -> None:
    names = [{"name": f"f{n}"} for n in range(MAX_DECLARATIONS + 1)]
    assert len(tools({"functionDeclarations": names[1:]}).functions) == 512
    with pytest.raises(ClientFault, match="513 function declarations; at most 512"):
        tools({"functionDeclarations": names})


def test_a_name_alone_is_a_function_without_parameters() -> None:
    assert declared().parameters is None
    assert declared().description == ""
    assert declared().behavior is Behavior.UNSPECIFIED


@pytest.mark.parametrize("value", ["NON_BLOCKING", "non_blocking", 2])
def test_behavior(value: Any) -> None:
    assert declared(behavior=value).behavior is Behavior.NON_BLOCKING


def test_parameters_in_either_form_become_json_schema() -> None:
    assert declared(parameters={}).parameters == {"type": "object"}
    assert declared(parameters={"type": "OBJECT"}).parameters == {"type": "object"}
    plain = {"type": "object", "properties": {"property_ordering": {"type": "string"}}}
    assert declared(parameters_json_schema=plain).parameters == plain
    assert declared(parametersJsonSchema=plain).parameters == plain
    assert declared(parametersJsonSchema=plain, parameters={}).parameters == plain


@pytest.mark.parametrize("value", [3, "object", [], True])
def test_json_schema_must_be_an_object(value: Any) -> None:
    with pytest.raises(ClientFault, match=r"function_declarations\[0\]\.parameters_json_schema"):
        declared(parametersJsonSchema=value)


@pytest.mark.parametrize("form", ["parameters", "parametersJsonSchema"])
def test_parameters_that_are_no_schema_are_refused(form: str) -> None:
    bad = {"type": "object", "properties": {"a": {"type": "string", "minLength": -1}}}
    with pytest.raises(ClientFault) as caught:
        declared(**{form: bad})
    assert caught.value.code == 1007
    assert (
        caught.value.reason == "Invalid schema of f at '#/properties/a/minLength': -1 is no count."
    )
    if form == "parametersJsonSchema":
        with pytest.raises(ClientFault, match="-1 is no count"):
            declared(parameters={}, parametersJsonSchema=bad)


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        ("parametersJsonSchema", {"$ref": "#/$defs/n", "$defs": {"n": {"items": {"$ref": "#"}}}}),
        ("parameters", {"ref": "#/defs/n", "defs": {"n": {"items": {"ref": "#/defs/n"}}}}),
    ],
)
def test_parameters_may_refer_to_themselves(form: str, schema: dict[str, Any]) -> None:
    assert declared(**{form: schema}).parameters["$ref"] == "#/$defs/n"


def test_references_elsewhere_are_refused_in_either_form() -> None:
    for schema in ({"parameters": {"ref": "file:///a"}}, {"parametersJsonSchema": {"$ref": "a"}}):
        with pytest.raises(ClientFault, match="nothing is fetched"):
            declared(**schema)


@pytest.mark.parametrize(
    ("wire", "shown"),
    [
        ([{"name": "f" * 128}] * 2, f"Duplicate function declaration found: {'f' * 85}"),
        ([{"name": f"f{n}"} for n in range(600)], "600 function declarations; at most 512 are"),
        ([{"name": "1f"}], "use [A-Za-z_][A-Za-z0-9_.:-]{0,127}."),
        ([{"name": "f", "parameters": {"type": "STRING"}}], "use OBJECT."),
    ],
)
def test_what_is_wrong_fits_into_a_close_frame(wire: list[dict[str, Any]], shown: str) -> None:
    with pytest.raises(ClientFault) as caught:
        tools({"functionDeclarations": wire})
    assert shown in close.cut_reason(caught.value.reason)


def test_parameters_are_an_object() -> None:
    with pytest.raises(ClientFault, match=r"parameters\.type' \(TYPE_ENUM\): use OBJECT"):
        declared(parameters={"type": "STRING"})


def test_the_schema_of_the_response_is_checked_and_let_go() -> None:
    assert declared(response={"type": "STRING"}, responseJsonSchema={"type": "x"}).name == "f"
    with pytest.raises(ClientFault, match=r"function_declarations\[0\]\.response.type"):
        declared(response={"type": "TEXT"})


def test_builtin_tools_carry_the_apis_names_and_their_options() -> None:
    server = {
        "name": "files",
        "streamable_http_transport": {"url": "http://h", "headers": {"x_y": "1"}, "timeout": "5s"},
    }
    found = tools(
        {"googleSearch": {"exclude_domains": ["a.b"], "searchTypes": {"web_search": {}}}},
        {"codeExecution": {}, "url_context": {}},
        {"mcpServers": [server]},
    ).builtin
    assert found == (
        BuiltinTool("googleSearch", {"searchTypes": {"web_search": {}}, "excludeDomains": ["a.b"]}),
        BuiltinTool("codeExecution"),
        BuiltinTool("urlContext"),
        BuiltinTool(
            "mcpServers",
            {
                "mcpServers": [
                    {
                        "name": "files",
                        "streamableHttpTransport": {
                            "url": "http://h",
                            "headers": {"x_y": "1"},
                            "timeout": 5.0,
                        },
                    }
                ]
            },
        ),
    )


@pytest.mark.parametrize(
    "kind",
    [
        "googleSearchRetrieval", "googleMaps", "fileSearch", "computerUse", "retrieval",
        "enterpriseWebSearch", "parallelAiSearch", "exaAiSearch",
    ],
)  # fmt: skip
def test_every_kind_of_tool_is_known_to_a_strict_reader(kind: str) -> None:
    found = tools({kind: {}, "functionDeclarations": [{"name": "f"}]}, strict=True)
    assert found.builtin == (BuiltinTool(kind),)
    assert len(found.functions) == 1

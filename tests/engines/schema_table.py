"""Schemas of functions by kind: what generators and people write, and what the drafts allow.

Written from JSON Schema's drafts and from what Pydantic, zod-to-json-schema, OpenAPI generators
and MCP servers emit, before the engine that makes up arguments for them. Each can be satisfied,
but for those of `UNFIT`; the edge refuses those of `REFUSED`.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
LATEST = "https://json-schema.org/draft/2020-12/schema"


def of(value: Any, **beside: Any) -> Json:
    """Parameters with one required property."""
    return {
        "type": "object",
        "properties": {"value": value},
        "required": ["value"],
        **beside,
    }


def text(**keywords: Any) -> Json:
    return of({"type": "string", **keywords})


def number(**keywords: Any) -> Json:
    return of({"type": "number", **keywords})


def whole(**keywords: Any) -> Json:
    return of({"type": "integer", **keywords})


def items(**keywords: Any) -> Json:
    return of({"type": "array", **keywords})


def entries(**keywords: Any) -> Json:
    return of({"type": "object", **keywords})


def nested(levels: int, kind: str) -> Json:
    """An object or a list within another, so many times."""
    place: Json = {"type": "integer", "minimum": 3}
    for _ in range(levels):
        place = of(place) if kind == "object" else {"type": "array", "items": place, "minItems": 1}
    return place if kind == "object" else of(place)


def chain(length: int) -> Json:
    """References that lead to one another."""
    defs: Json = {f"D{n}": {"$ref": f"#/$defs/D{n + 1}"} for n in range(length)}
    return of({"$ref": "#/$defs/D0"}, **{"$defs": {**defs, f"D{length}": {"type": "boolean"}}})


EMAIL = (
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]"
    r"@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
)
UUID = (
    r"^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12})$"
)
MONEY = r"^(?!^[-+.]*$)[+-]?0*(?:\d{0,8}|(?=[\d.]{1,11}0*$)\d{0,8}\.\d{0,2}0*$)"
LEAP = (
    r"^((\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29|"
    r"\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|"
    r"(02)-(0[1-9]|1\d|2[0-8])))$"
)

TEXTS: dict[str, Json] = {
    "pattern": text(pattern=r"^[A-Z]{2}-\d{3}$"),
    "pattern and minLength": text(pattern="^[a-z]+$", minLength=12),
    "pattern and maxLength": text(pattern="^[a-z0-9]{3,}$", maxLength=4),
    "pattern and both lengths": text(pattern="^[a-z][a-z0-9_]*$", minLength=6, maxLength=8),
    "pattern not anchored, minLength": text(pattern="foo", minLength=20),
    "pattern anchored at its end, minLength": text(pattern=r"\.json$", minLength=20),
    "password of lookaheads": text(
        pattern=r"^(?=.*[a-z])(?=.*[A-Z])(?=.*\d)(?=.*[@$!%*?&])[A-Za-z\d@$!%*?&]{8,}$"
    ),
    "lookahead and maxLength": text(pattern=r"^(?=.*\d)[a-z\d]+$", minLength=3, maxLength=3),
    "negative lookahead": text(pattern=r"^(?!admin$)[a-z]{5}$"),
    "back reference": text(pattern=r"^(['\"])\w+\1$"),
    "several patterns": of(
        {"allOf": [{"type": "string", "pattern": "^[A-Z]"}, {"pattern": r"\d$"}, {"minLength": 5}]}
    ),
    "three patterns that overlap": of(
        {
            "type": "string",
            "allOf": [{"pattern": "^.{4,6}$"}, {"pattern": "[0-9]{2}"}, {"pattern": "^[^aeiou]*$"}],
        }
    ),
    "letters of Unicode": text(pattern=r"^\p{Lu}\p{Ll}+$"),
    "a script of Unicode": text(pattern=r"^\p{Script=Cyrillic}{3}$"),
    "letters beyond ASCII": text(pattern="^[À-ÿ]{4}$"),
    "escapes of JavaScript": text(pattern=r"^\/api\/v\d+\/[\w\-]+$"),
    "named group of JavaScript": text(pattern=r"^(?<year>\d{4})-(?<week>W\d{2})$"),
    "zod's email": text(format="email", pattern=EMAIL),
    "zod's uuid": text(format="uuid", pattern=UUID),
    "zod's date": text(format="date", pattern=LEAP),
    "Pydantic's Decimal": of(
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": MONEY}], "title": "Price"}
    ),
    "format and pattern": text(format="date", pattern="^2031-"),
    "format and lengths": text(format="email", minLength=30, maxLength=40),
    "uri of one host": text(format="uri", pattern=r"^https://example\.org/"),
    "hex digest": text(pattern="^[0-9a-f]{64}$"),
    "semantic version": text(pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-[\w.]+)?$"),
    "cron": text(pattern=r"^(\*|[0-5]?\d)( (\*|\d{1,2})){4}$"),
    "phone": text(pattern=r"^\+[1-9]\d{6,14}$"),
    "time of day": text(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$"),
    "very long": text(minLength=3000),
    "a long pattern": text(pattern="^[ab]{1200}$"),
    "not a word": of({"type": "string", "not": {"enum": ["", "echo value", "value"]}}),
    "not a pattern": of({"type": "string", "not": {"pattern": "[a-z ]"}, "minLength": 1}),
    "one byte": text(minLength=1, maxLength=1),
    "empty": text(maxLength=0),
}

NUMBERS: dict[str, Json] = {
    "multipleOf of a float, bounds": number(multipleOf=0.01, minimum=19.985, maximum=19.995),
    "multipleOf 0.1 above a bound": number(multipleOf=0.1, exclusiveMinimum=0.25, maximum=0.35),
    "multipleOf below zero": number(multipleOf=2.5, maximum=-6),
    "integer and fractional multipleOf": whole(multipleOf=1.5, minimum=4),
    "two multipleOf": of({"allOf": [{"type": "integer", "multipleOf": 4}, {"multipleOf": 6}],
                          "minimum": 1}),
    "two fractional multipleOf": of({"type": "number", "exclusiveMinimum": 0,
                                     "allOf": [{"multipleOf": 0.2}, {"multipleOf": 0.5}]}),
    "a narrow range": number(exclusiveMinimum=0, exclusiveMaximum=0.001),
    "a range around a float": number(minimum=1e-9, maximum=2e-9),
    "a large range": whole(minimum=10**12, maximum=10**12 + 1),
    "int64": whole(minimum=-(2**63), maximum=2**63 - 1, exclusiveMaximum=0),
    "not zero": of({"type": "integer", "not": {"const": 0}}),
    "not a multiple": of({"type": "integer", "not": {"multipleOf": 2}, "minimum": 10}),
    "oneOf multiples": of({"type": "integer", "minimum": 1,
                           "oneOf": [{"multipleOf": 3}, {"multipleOf": 5}]}),
    "listed numbers": of({"enum": [1.5, 2.5]}),
    "a number or auto": of({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
}  # fmt: skip

COLOR = {"enum": ["red", "green", "blue"]}
ARRAYS: dict[str, Json] = {
    "thirty different integers": items(items={"type": "integer"}, minItems=30, uniqueItems=True),
    "thirty different texts": items(items={"type": "string"}, minItems=30, uniqueItems=True),
    "twenty different codes": items(
        items={"type": "string", "pattern": "^[A-Z]{2}[0-9]$"}, minItems=20, uniqueItems=True
    ),
    "different fractions of a range": items(
        items={"type": "number", "minimum": 0, "maximum": 1}, minItems=10, uniqueItems=True
    ),
    "every color": items(items=COLOR, minItems=3, uniqueItems=True),
    "different objects": items(
        items=of({"type": "integer"}), minItems=5, uniqueItems=True
    ),
    "different pairs of booleans": items(
        items={"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
        minItems=4, uniqueItems=True,
    ),
    "contains": items(items={"type": "integer"}, contains={"minimum": 100}),
    "contains, minContains": items(
        items={"type": "integer"}, contains={"minimum": 100}, minContains=3, minItems=5
    ),
    "contains, maxContains": items(
        items={"type": "integer"}, contains={"const": 0}, maxContains=1, minItems=4
    ),
    "contains, uniqueItems": items(
        contains={"type": "string", "minLength": 2}, minContains=2, uniqueItems=True
    ),
    "contains twice": of({"type": "array", "items": {"type": "string"}, "allOf": [
        {"contains": {"const": "a"}}, {"contains": {"const": "b"}}]}),
    "contains in objects": items(
        items=of(COLOR), contains={"properties": {"value": {"const": "blue"}}}
    ),
    "prefixItems": items(prefixItems=[{"type": "number"}, COLOR, {"type": "boolean"}],
                         items=False, minItems=3),
    "prefixItems, more": items(prefixItems=[{"const": "x"}], items={"type": "integer"},
                               minItems=4),
    "prefixItems, contains": items(prefixItems=[{"const": "x"}], contains={"const": 7}),
    "prefixItems, unevaluatedItems": items(
        prefixItems=[{"type": "number"}, {"type": "number"}], unevaluatedItems=False, minItems=2
    ),
    "draft 7 tuple": {"$schema": DRAFT_7, **items(
        items=[{"type": "number"}, COLOR], additionalItems=False, minItems=2)},
    "three of one value": items(items={"const": "echo"}, minItems=3),
    "two hundred items": items(items={"type": "integer"}, minItems=200),
    "not empty": of({"type": "array", "not": {"maxItems": 0}}),
}  # fmt: skip

MANY = {f"field_{n}": {"type": ["string", "integer", "boolean"][n % 3]} for n in range(350)}
OBJECTS: dict[str, Json] = {
    "no properties": {"type": "object", "properties": {}},
    "anything": {},
    "350 required properties": {"type": "object", "properties": MANY, "required": [*MANY]},
    "350 optional properties, 100 at least": {
        "type": "object", "properties": MANY, "minProperties": 100, "additionalProperties": False
    },
    "patternProperties, minProperties": entries(
        patternProperties={"^x-[a-z]+$": {"type": "integer"}},
        additionalProperties=False, minProperties=3,
    ),
    "two patterns of one name": entries(
        patternProperties={"^a": {"type": "integer"}, "b$": {"minimum": 5}},
        additionalProperties=False, required=["ab"],
    ),
    "propertyNames": entries(
        propertyNames={"pattern": "^[a-z]{3}$"}, additionalProperties={"type": "integer"},
        minProperties=5,
    ),
    "propertyNames of a list": entries(propertyNames=COLOR, minProperties=3),
    "propertyNames, patternProperties": entries(
        propertyNames={"maxLength": 4}, patternProperties={"^k": {"const": 1}}, minProperties=2,
        additionalProperties=False,
    ),
    "maxProperties": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}},
                      "required": ["b"], "maxProperties": 1},
    "dependentRequired": {"type": "object", "required": ["card"], "properties": {
        "card": {"type": "integer"}, "address": {"type": "string", "minLength": 1},
        "zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
        "dependentRequired": {"card": ["address"], "address": ["zip"]}},
    "dependentSchemas": {"type": "object", "required": ["card"], "properties": {"card": {}},
        "dependentSchemas": {"card": {"required": ["code"],
                                      "properties": {"code": {"type": "integer"}}}}},
    "dependencies of draft 7": {"$schema": DRAFT_7, "type": "object", "required": ["a"],
        "properties": {"a": {"type": "integer"}},
        "dependencies": {"a": ["b"], "b": {"required": ["c"]}}},
    "if, then, else": {"type": "object", "required": ["country", "code"], "properties": {
        "country": {"enum": ["US", "CA"]}, "code": {"type": "string"}},
        "if": {"properties": {"country": {"const": "US"}}},
        "then": {"properties": {"code": {"pattern": "^[0-9]{5}$"}}},
        "else": {"properties": {"code": {"pattern": "^[A-Z][0-9][A-Z]$"}}}},
    "if whose then is impossible": {"type": "object", "required": ["mode"], "properties": {
        "mode": {"enum": ["old", "new"]}},
        "if": {"properties": {"mode": {"const": "old"}}}, "then": False},
    "several ifs": {"type": "object", "required": ["kind"], "properties": {
        "kind": {"enum": ["a", "b"]}}, "allOf": [
        {"if": {"properties": {"kind": {"const": "a"}}}, "then": {"required": ["x"]}},
        {"if": {"properties": {"kind": {"const": "b"}}}, "then": {"required": ["y"]}}]},
    "not required together": {"type": "object", "required": ["a"],
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "not": {"required": ["a", "b"]}},
    "not a listed value": {"type": "object", "required": ["mode"],
        "properties": {"mode": {"enum": ["off", "on"]}},
        "not": {"properties": {"mode": {"const": "off"}}}},
    "one of two is required": {"type": "object", "properties": {
        "id": {"type": "integer"}, "name": {"type": "string"}},
        "oneOf": [{"required": ["id"]}, {"required": ["name"]}]},
    "discriminated union": of({"oneOf": [
        {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
         "required": ["kind", "lives"], "additionalProperties": False},
        {"type": "object", "properties": {"kind": {"const": "dog"}, "name": {"type": "string"}},
         "required": ["kind", "name"], "additionalProperties": False}],
        "discriminator": {"propertyName": "kind"}}),
    "oneOf that overlaps": of({"oneOf": [{"type": "number"}, {"type": "integer"}]}),
    "allOf of objects": {"allOf": [
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]}],
        "unevaluatedProperties": False},
    "const of an object": of({"const": {"mode": "fast", "levels": [1, {"x": None}]}}),
    "enum of objects": of({"enum": [{"a": 1}, {"a": 2}]}),
    "enum of everything": of({"enum": [None, False, 0, "", [], {}], "not": {"type": "null"}}),
    "a big enum": of({"enum": [f"value-{n}" for n in range(3000)]}),
    "a big enum but for most": of({"enum": [*range(900)], "minimum": 895}),
    "objects 24 levels deep": nested(24, "object"),
    "lists 40 levels deep": nested(40, "array"),
    "references 40 deep": chain(40),
    "a tree": of({"$ref": "#/$defs/Tree"}, **{"$defs": {"Tree": of(
        {"type": "array", "items": {"$ref": "#/$defs/Tree"}}, additionalProperties=False)}}),
    "optional Pydantic model": {
        "$defs": {"Place": {"properties": {
            "lat": {"maximum": 90, "minimum": -90, "title": "Lat", "type": "number"},
            "tags": {"items": {"type": "string"}, "title": "Tags", "type": "array",
                     "uniqueItems": True}},
            "required": ["lat", "tags"], "title": "Place", "type": "object"}},
        "properties": {"place": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
                       "when": {"format": "date-time", "title": "When", "type": "string"}},
        "required": ["place", "when"], "title": "Args", "type": "object"},
    "zod's strict object": {"$schema": DRAFT_7, "type": "object", "properties": {
        "url": {"type": "string", "format": "uri"},
        "tuple": {"type": "array", "minItems": 2, "maxItems": 2,
                  "items": [{"type": "string"}, {"type": "number"}]},
        "record": {"type": "object", "additionalProperties": {"type": "boolean"},
                   "propertyNames": {"enum": ["a", "b"]}},
        "same": {"$ref": "#/properties/url"}},
        "required": ["url", "tuple", "record", "same"], "additionalProperties": False},
    "an MCP server's edit": {"$schema": LATEST, "type": "object", "properties": {
        "path": {"type": "string"},
        "edits": {"type": "array", "minItems": 1, "items": {"type": "object", "properties": {
            "oldText": {"type": "string", "description": "Text to find"},
            "newText": {"type": "string", "default": ""}},
            "required": ["oldText", "newText"], "additionalProperties": False}},
        "dryRun": {"type": "boolean", "default": False}},
        "required": ["path", "edits"]},
    "defaults that do not fit": {"type": "object", "required": ["n", "e"], "properties": {
        "n": {"type": "integer", "minimum": 5, "default": 1},
        "e": {"enum": ["a", "b"], "default": "c"}}},
    "draft 4 bounds": {"$schema": DRAFT_4, **number(
        minimum=5, exclusiveMinimum=True, maximum=6, exclusiveMaximum=True)},
    "names that need escapes": of({"$ref": "#/$defs/a~1b%20c"},
                                  **{"$defs": {"a/b c": {"type": "integer"}}}),
    "names of keywords": {"type": "object", "properties": {
        "type": {"type": "string"}, "$ref": {"type": "string"}, "enum": {"type": "integer"},
        "properties": {"type": "object"}}, "required": ["type", "$ref", "enum", "properties"]},
}  # fmt: skip

API: dict[str, Json] = {
    "the API's types": {"type": "OBJECT", "properties": {
        "n": {"type": "INTEGER", "minimum": 3}, "s": {"type": "STRING", "nullable": True},
        "l": {"type": "ARRAY", "items": {"type": "STRING", "enum": ["a", "b"]}, "minItems": "2"}},
        "required": ["n", "s", "l"], "propertyOrdering": ["l", "n"]},
    "anyOf of the API": {"type": "OBJECT", "properties": {"v": {
        "anyOf": [{"type": "INTEGER"}, {"type": "STRING"}], "nullable": True}}, "required": ["v"]},
    "references of the API": {"type": "OBJECT", "properties": {"v": {"ref": "#/defs/V"}},
        "defs": {"V": {"type": "STRING", "minLength": "4"}}, "required": ["v"]},
    "JSON Schema in the API's place": {"type": "object", "properties": {
        "v": {"oneOf": [{"const": 7}, {"type": "STRING"}]},
        "t": {"$ref": "#/$defs/T"}}, "required": ["v", "t"],
        "$defs": {"T": {"type": "INTEGER", "exclusiveMinimum": 2, "multipleOf": 4}}},
    "OpenAPI's bounds": {"type": "object", "properties": {
        "v": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1}},
        "required": ["v"]},
}  # fmt: skip
"""In `parameters`; everything else stands in `parametersJsonSchema`."""

API_MEANINGS: dict[str, Json] = {
    "the API's types": {"type": "object", "properties": {
        "n": {"type": "integer", "minimum": 3}, "s": {"type": ["string", "null"]},
        "l": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2}},
        "required": ["n", "s", "l"]},
    "anyOf of the API": {"properties": {"v": {"type": ["integer", "string", "null"]}},
                         "required": ["v"]},
    "references of the API": {"properties": {"v": {"type": "string", "minLength": 4}},
                              "required": ["v"]},
    "JSON Schema in the API's place": {"properties": {
        "v": {"oneOf": [{"const": 7}, {"type": "string"}]},
        "t": {"type": "integer", "exclusiveMinimum": 2, "multipleOf": 4}}, "required": ["v", "t"]},
    "OpenAPI's bounds": {"properties": {
        "v": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}}, "required": ["v"]},
}  # fmt: skip

PAIR = [{"type": "number"}, COLOR]
OLDER: dict[str, tuple[Json, Json]] = {
    "a tuple without a draft": (
        items(items=PAIR, additionalItems=False, minItems=2),
        items(prefixItems=PAIR, items=False, minItems=2),
    ),
    "a tuple under 2020-12": (
        {"$schema": LATEST, **items(items=[{"const": 1}], minItems=1)},
        items(prefixItems=[{"const": 1}], minItems=1),
    ),
    "OpenAPI's exclusive bounds": (
        number(minimum=3, exclusiveMinimum=True, maximum=3.5),
        number(exclusiveMinimum=3, maximum=3.5),
    ),
    "an exclusive bound that is off": (
        number(minimum=3, exclusiveMinimum=False),
        number(minimum=3),
    ),
    "numeric bounds under draft 4": (
        {"$schema": DRAFT_4, **number(exclusiveMinimum=3, minimum=2, exclusiveMaximum=9)},
        number(exclusiveMinimum=3, exclusiveMaximum=9),
    ),
    "types in capitals": (
        {"type": "OBJECT", "properties": {"v": {"type": "STRING"}}, "required": ["v"]},
        {"type": "object", "properties": {"v": {"type": "string"}}, "required": ["v"]},
    ),
}
"""Of another draft than they say, and what they mean: refused when strict."""

MIXED: dict[str, tuple[Json, Json]] = {
    "dependencies without a draft": (
        {"type": "object", "required": ["a"],
         "dependencies": {"a": ["b"], "b": {"properties": {"c": {"const": 1}}, "required": ["c"]}}},
        {"type": "object", "required": ["a", "b", "c"], "properties": {"c": {"const": 1}}},
    ),
    "OpenAPI's nullable": (
        of({"type": "string", "nullable": True, "enum": ["a", "b"]}),
        of({"enum": ["a", "b", None]}),
    ),
}  # fmt: skip
"""With keywords that are of no effect in their draft, which is how a strict server takes them."""

UNFIT: dict[str, Json] = {
    "a range without a number": whole(minimum=3, maximum=2),
    "a list of values of another type": of({"type": "integer", "enum": ["a"]}),
    "more different booleans than there are": items(
        items={"type": "boolean"}, minItems=3, uniqueItems=True
    ),
    "nothing": of(False),
    "only itself": of({"$ref": "#/properties/value"}),
}

REFUSED: dict[str, tuple[Json, str]] = {
    "no type": (of({"type": "float"}), "'#/properties/value/type': \"float\" is no type."),
    "another document": (of({"$ref": "https://example.com/a.json"}), "nothing is fetched."),
    "a reference to nothing": (of({"$ref": "#/$defs/A"}), "nothing stands at"),
    "no object": ({"type": "string"}, "'#/type': parameters are an object."),
    "required as a flag": (text(required=True), "use a list of names."),
    "a negative count": (text(minLength=-1), "-1 is no count."),
    "a factor of zero": (number(multipleOf=0), "use a number above 0."),
    "a schema that is text": (of("string"), '"string" is no schema.'),
    "properties as a list": ({"type": "object", "properties": []}, "use an object of schemas."),
    "no alternatives": (of({"anyOf": []}), "use a list of schemas."),
}
"""With a piece of the sentence, the same whether strict or not."""

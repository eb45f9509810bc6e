#!/usr/bin/env python3
"""Generates src/protocol/kafka/gen from spec/kafka: one struct, decoder and encoder per message, and the API table.

  tools/gen/kafka.py           rewrites what differs
  tools/gen/kafka.py --check   exits 1 if the checked-in files differ

A spec file describes one API. `#` starts a comment. Fields are listed in wire order, nested by two spaces:

  <key> <Name> <min>[-<max>] flex <first flexible version | never> [advertise <min>-<max>]
  request | response
    <name> <type> <versions> [null <versions>] [tag <id>@<versions>] [= <default>]

versions: `3`, `3-5` or `3+` (to the API's last). type: bool int8 int16 int32 int64 error uuid string bytes records, or
a struct's name, whose fields follow one level deeper (or stand at its first use in the message); `[]` before it makes
an array. A nullable field defaults to null. A nullable struct has a byte before it: -1 null, 1 present.
"""
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = ROOT / "spec/kafka"
OUT = ROOT / "src/protocol/kafka/gen"
NEVER = "kNeverFlexible"

# spec type -> (C++ type in a request, C++ type in a response, default, least bytes on the wire)
SCALARS = {
    "bool": ("bool", "bool", "false", 1),
    "int8": ("int8_t", "int8_t", "0", 1),
    "int16": ("int16_t", "int16_t", "0", 2),
    "int32": ("int32_t", "int32_t", "0", 4),
    "int64": ("int64_t", "int64_t", "0", 8),
    "error": ("ErrorCode", "ErrorCode", "ErrorCode::kNone", 2),
    "uuid": ("base::Uuid", "base::Uuid", "", 16),
    "string": ("std::string_view", "std::string", "", 1),
    "bytes": ("base::View", "base::View", "", 1),
    "records": ("base::View", "StreamedRecords", "", 1),
}


class SpecError(Exception):
    pass


class Range:
    def __init__(self, text, last):
        match = re.fullmatch(r"(\d+)(?:(\+)|-(\d+))?", text)
        if not match:
            raise SpecError(f"not a version range: {text}")
        self.first = int(match[1])
        self.last = last if match[2] else int(match[3] or match[1])

    def covers(self, other):
        return self.first <= other.first and self.last >= other.last

    def joined(self, other):
        return Range(f"{min(self.first, other.first)}-{max(self.last, other.last)}", None)

    def condition(self, within):
        """The C++ test that a version of `within` needs to be in this range; empty if none."""
        tests = []
        if self.first > within.first:
            tests.append(f"v >= {self.first}")
        if self.last < within.last:
            tests.append(f"v <= {self.last}")
        return " && ".join(tests)


class Field:
    def __init__(self, words, api):
        words = list(words)
        self.name, kind = words.pop(0), words.pop(0)
        self.is_array = kind.startswith("[]")
        self.kind = kind.removeprefix("[]")
        self.versions = Range(words.pop(0), api.versions.last)
        self.null = self.tag = self.default = None
        self.fields = []
        self.scope = self.versions  # of a struct: the versions that use it anywhere
        while words:
            word = words.pop(0)
            if word == "null":
                self.null = Range(words.pop(0), api.versions.last)
            elif word == "tag":
                tag, versions = words.pop(0).split("@")
                self.tag, self.versions = int(tag), Range(versions, api.versions.last)
                self.scope = self.versions
            elif word == "=":
                self.default = words.pop(0)
            else:
                raise SpecError(f"unexpected word {word}")
        if self.kind not in SCALARS and not self.kind[0].isupper():
            raise SpecError(f"unknown type {self.kind}")

    def is_struct(self):
        return self.kind not in SCALARS


class Message:
    def __init__(self, name, is_request):
        self.name, self.is_request, self.fields = name, is_request, []
        self.structs = []  # inner ones first

    def finish(self):
        self._collect(self.fields)
        names = [f.kind for f in self.structs]
        if len(set(names)) != len(names):
            raise SpecError(f"{self.name}: a struct's name is used twice")
        streamed = [f for f in self.all_fields() if f.kind == "records"]
        self.streams_records = bool(streamed) and not self.is_request

    def _collect(self, fields):
        for field in fields:
            if not field.is_struct():
                continue
            if field.fields:
                self._collect(field.fields)
                self.structs.append(field)
            else:
                self._reuse(field)

    def _reuse(self, field):
        known = [s for s in self.structs if s.kind == field.kind]
        if not known:
            raise SpecError(f"{self.name}: {field.kind} has no fields")
        known[0].scope = known[0].scope.joined(field.versions)

    def all_fields(self):
        return self.fields + [f for s in self.structs for f in s.fields]


class Api:
    def __init__(self, path):
        self.stem = path.stem
        lines = [line.split("#")[0].rstrip() for line in path.read_text().splitlines()]
        lines = [line for line in lines if line]
        words = lines[0].split()
        self.key, self.name = int(words[0]), words[1]
        self.versions = Range(words[2], None)
        self.flexible = None if words[4] == "never" else int(words[4])
        self.advertised = Range(words[6], None) if len(words) > 5 else self.versions
        self.messages = []
        stack = []
        for line in lines[1:]:
            depth = (len(line) - len(line.lstrip())) // 2
            if depth == 0:
                self.messages.append(Message(self.name + line.capitalize(), line == "request"))
                stack = [self.messages[-1]]
                continue
            field = Field(line.split(), self)
            stack = stack[:depth]
            stack[-1].fields.append(field)
            stack.append(field)
        for message in self.messages:
            message.finish()

    def flexible_from(self):
        return NEVER if self.flexible is None else str(self.flexible)

    def versions_text(self):
        first, last = self.versions.first, self.versions.last
        return f"version {first}" if first == last else f"versions {first}-{last}"


def cpp_type(field, message):
    base = SCALARS[field.kind][0 if message.is_request else 1] if not field.is_struct() else field.kind
    if field.is_array:
        base = f"std::vector<{base}>"
    return f"std::optional<{base}>" if field.null else base


def cpp_default(field):
    if field.null or field.is_array or field.is_struct():
        return ""
    value = field.default if field.default is not None else SCALARS[field.kind][2]
    if value == "-2147483648":
        value = "INT32_MIN"
    elif value == "0x7fffffff":
        value = "INT32_MAX"
    return value


def least_bytes(field):
    """A lower bound of the bytes that an array element of this struct takes, whatever the version."""
    total = 0
    for f in field.fields:
        if f.tag is None and f.versions.covers(field.scope):
            total += 1 if f.is_array or f.is_struct() else SCALARS[f.kind][3]
    return max(total, 1)


def compared_structs(message):
    """Structs that need operator==: a tagged field is written only if it differs from its default."""
    found = set()

    def mark(field):
        if field.is_struct():
            found.add(field.kind)
            for inner in field.fields:
                mark(inner)

    for field in message.all_fields():
        if field.tag is not None:
            mark(field)
    return found


def notes(field, within):
    parts = []
    if not field.versions.covers(within):
        first, last = field.versions.first, field.versions.last
        if last >= within.last:
            parts.append(f"v{first}+")
        else:
            parts.append(f"v{first}" if first == last else f"v{first}-{last}")
    if field.null and not field.null.covers(field.versions):
        parts.append(f"null v{field.null.first}+")
    if field.tag is not None:
        parts.append(f"tag {field.tag}")
    return ", ".join(parts)


def struct_members(fields, message, within, indent):
    lines = []
    for field in fields:
        default = cpp_default(field)
        value = f" = {default}" if default else "{}"  # so that designated initialisers may leave it out
        lines.append((f"{indent}{cpp_type(field, message)} {field.name}{value};", notes(field, within)))
    return align_comments(lines)


def align_comments(lines):
    """Comments of neighbouring lines stand below each other, as clang-format has it."""
    out, run = [], []
    for code, comment in lines + [("", "")]:
        if comment:
            run.append((code, comment))
            continue
        width = max((len(c) for c, _ in run), default=0)
        out += [f"{c:<{width}}  // {note}" for c, note in run] + [code]
        run = []
    return out[:-1]


def header_struct(message, api):
    lines = [f"struct {message.name} {{"]
    compared = compared_structs(message)
    for inner in message.structs:
        lines.append(f"  struct {inner.kind} {{")
        lines += struct_members(inner.fields, message, inner.scope, "    ")
        if inner.kind in compared:
            lines.append(f"    bool operator==(const {inner.kind}&) const = default;")
        lines.append("  };")
    lines += struct_members(message.fields, message, api.versions, "  ")
    return lines + ["};"]


def encode_signature(message, end):
    extra = ", std::vector<RecordsAt>& records" if message.streams_records else ""
    return f"void encode(base::Writer& out, int16_t version, const {message.name}& message{extra}){end}"


def make_header(api):
    flexible = "never flexible" if api.flexible is None else f"flexible from {api.flexible}"
    lines = [
        f"// Generated by tools/gen/kafka.py from spec/kafka/{api.stem}.spec; do not edit.",
        f"// {api.name}: API key {api.key}, {api.versions_text()}, {flexible}.",
        "#pragma once",
        "",
        '#include "protocol/kafka/message.h"',
        "",
        "namespace polylog::kafka {",
        "",
    ]
    for message in api.messages:
        lines += header_struct(message, api)
        lines.append(f"[[nodiscard]] bool decode(base::Reader& in, int16_t version, {message.name}& message);")
        lines += [encode_signature(message, ";"), ""]
    return "\n".join(lines + ["}  // namespace polylog::kafka", ""])


def field_line(field):
    if field.null and not field.null.covers(field.versions):
        return f"io.nullable(m.{field.name}, {field.null.condition(field.versions)});"
    return f"io(m.{field.name});"


def tag_argument(field):
    default = cpp_default(field)
    return f"tag({field.tag}, m.{field.name}{', ' + default if field.default is not None else ''})"


def make_fields(cpp_name, fields, within, api):
    lines = ["template <typename Io>", f"static void fields(Io& io, Ref<Io, {cpp_name}> m) {{"]
    plain = [f for f in fields if f.tag is None]
    tagged = sorted((f for f in fields if f.tag is not None), key=lambda f: f.tag)
    conditions = [f.versions.condition(within) for f in plain]
    if any(conditions) or any(f.null and not f.null.covers(f.versions) for f in plain):
        lines.append("  const int16_t v = io.version();")
    for field, condition in zip(plain, conditions):
        guard = f"if ({condition}) " if condition else ""
        lines.append(f"  {guard}{field_line(field)}")
    if api.flexible is not None:
        lines += make_tags(tagged, max(api.flexible, within.first))
    return lines + ["}", ""]


def make_tags(tagged, flexible_from):
    """A tag is known from its first version on; earlier flexible versions skip it like any unknown tag."""
    if not tagged:
        return ["  io.tags();"]
    arguments = []
    for field in tagged:
        late = field.versions.first > flexible_from
        arguments.append(tag_argument(field) + (f".since({field.versions.first})" if late else ""))
    one_line = f"  io.tags({', '.join(arguments)});"
    if len(one_line) <= 120:
        return [one_line]
    return ["  io.tags(" + ",\n          ".join(arguments) + ");"]


def make_source(api):
    lines = [
        f"// Generated by tools/gen/kafka.py from spec/kafka/{api.stem}.spec; do not edit.",
        f'#include "protocol/kafka/gen/{api.stem}.h"',
        "",
        '#include "protocol/kafka/codec.h"',
        "",
        "namespace polylog::kafka {",
        "",
    ]
    for message in api.messages:
        for inner in message.structs:
            name = f"{message.name}::{inner.kind}"
            if inner.is_array:
                lines += [f"static constexpr size_t least_bytes(const {name}*) {{ return {least_bytes(inner)}; }}", ""]
            lines += make_fields(name, inner.fields, inner.scope, api)
        lines += make_fields(message.name, message.fields, api.versions, api)
    first, last, flexible = api.versions.first, api.versions.last, api.flexible_from()
    lines += [f"static constexpr VersionRange kVersions{{{first}, {last}, {flexible}}};", ""]
    for message in api.messages:
        lines += [
            f"bool decode(base::Reader& in, int16_t version, {message.name}& message) {{",
            f"  return decode_message<kVersions, limits::k{'Request' if message.is_request else 'Response'}ElementsMax>(in, version, message);",
            "}",
            "",
            encode_signature(message, " {"),
            f"  encode_message<kVersions>(out, version, message{', &records' if message.streams_records else ''});",
            "}",
            "",
        ]
    return "\n".join(lines + ["}  // namespace polylog::kafka", ""])


def make_table(apis):
    lines = [
        "// Generated by tools/gen/kafka.py from spec/kafka; do not edit.",
        "// Every API there is a codec for. The session's command table says which of them are offered.",
        "#pragma once",
        "",
        "#include <array>",
        "#include <cstdint>",
        "#include <string_view>",
        "",
        "namespace polylog::kafka {",
        "",
        "enum class ApiKey : int16_t {",
    ]
    lines += [f"  k{api.name} = {api.key}," for api in apis]
    lines += [
        "};",
        "",
        f"inline constexpr int16_t {NEVER} = INT16_MAX;",
        "",
        "struct ApiRow {",
        "  ApiKey key;",
        "  std::string_view name;",
        "  int16_t advertised_min;  // may be below served_min: old clients read features from it",
        "  int16_t served_min;",
        "  int16_t max;",
        "  int16_t flexible_from;",
        "  constexpr bool serves(int16_t version) const { return served_min <= version && version <= max; }",
        "  constexpr bool is_flexible(int16_t version) const { return version >= flexible_from; }",
        "};",
        "",
        f"inline constexpr std::array<ApiRow, {len(apis)}> kApiTable{{{{",
    ]
    for api in apis:
        if api.advertised.last != api.versions.last:
            raise SpecError(f"{api.name}: the last version advertised is the last one served")
        lines.append(
            f'    {{ApiKey::k{api.name}, "{api.name}", {api.advertised.first}, {api.versions.first}, '
            f"{api.versions.last}, {api.flexible_from()}}},"
        )
    lines += [
        "}};",
        "",
        "constexpr const ApiRow* find_api(int16_t key) {",
        "  for (const ApiRow& row : kApiTable) {",
        "    if (static_cast<int16_t>(row.key) == key) return &row;",
        "  }",
        "  return nullptr;",
        "}",
        "",
        "}  // namespace polylog::kafka",
        "",
    ]
    return "\n".join(lines)


def make_test_support(apis):
    lines = [
        "// Generated by tools/gen/kafka.py from spec/kafka; do not edit.",
        "// For tests only: all messages by name, and visit(f, message), which calls f(field) for every field.",
        "#pragma once",
        "",
        *(f'#include "protocol/kafka/gen/{api.stem}.h"' for api in apis),
        "",
        "// X(name) for each API; its messages are <name>Request and <name>Response, its key is ApiKey::k<name>.",
        *x_macro(apis),
        "",
        "namespace polylog::kafka {",
        "",
        "void each(auto& f, auto&... members) { (f(members), ...); }",
        "",
    ]
    for api in apis:
        for message in api.messages:
            for inner in message.structs:
                lines += make_visit(f"{message.name}::{inner.kind}", inner.fields)
            lines += make_visit(message.name, message.fields)
    return "\n".join(lines + ["", "}  // namespace polylog::kafka", ""])


def x_macro(apis):
    lines = ["#define POLYLOG_KAFKA_APIS(X)", *(f"  X({api.name})" for api in apis)]
    width = max(len(line) for line in lines) + 1
    return [f"{line:<{width}}\\" for line in lines[:-1]] + lines[-1:]


def make_visit(cpp_name, fields):
    arguments = ", ".join(["f", *(f"m.{field.name}" for field in fields)])
    start = f"void visit(auto& f, {cpp_name}& m) {{"
    one_line = f"{start} each({arguments}); }}"
    if len(one_line) <= 120:
        return [one_line]
    return [start, *textwrap.wrap(f"  each({arguments});", 120, subsequent_indent=" " * 7), "}"]


def make_field_names(apis):
    lines = [
        "// Generated by tools/gen/kafka.py from spec/kafka; do not edit.",
        "// For tests only: visit_named(f, message) calls f(name, field) for every field, in the order of the spec.",
        "#pragma once",
        "",
        '#include "protocol/kafka/gen/for_tests.h"',
        "",
        "namespace polylog::kafka {",
        "",
    ]
    for api in apis:
        for message in api.messages:
            for inner in message.structs:
                lines += make_visit_named(f"{message.name}::{inner.kind}", inner.fields)
            lines += make_visit_named(message.name, message.fields)
    return "\n".join(lines + ["", "}  // namespace polylog::kafka", ""])


def make_visit_named(cpp_name, fields):
    start, param = f"void visit_named(auto& f, {cpp_name}&", " m" if fields else ""
    if not fields:
        return [start.replace("auto& f", "auto&") + ") {}"]
    return [f"{start}{param}) {{", *(f'  f("{field.name}", m.{field.name});' for field in fields), "}"]


def make_all():
    apis = sorted((load(path) for path in SPEC.glob("*.spec")), key=lambda api: api.key)
    files = {"api_table.h": make_table(apis), "for_tests.h": make_test_support(apis),
             "field_names.h": make_field_names(apis)}
    for api in apis:
        files[f"{api.stem}.h"] = make_header(api)
        files[f"{api.stem}.cc"] = make_source(api)
    return files


def load(path):
    try:
        return Api(path)
    except (SpecError, ValueError, IndexError) as error:
        sys.exit(f"{path}: {error}")


def main():
    files = make_all()
    present = {p.name: p.read_text() for p in OUT.glob("*") if p.suffix in (".h", ".cc")}
    stale = sorted(set(present) - set(files))
    changed = sorted(name for name, text in files.items() if present.get(name) != text)
    if "--check" in sys.argv[1:]:
        for name in stale + changed:
            print(f"{OUT / name} is not what spec/kafka says; run tools/gen/kafka.py", file=sys.stderr)
        sys.exit(1 if stale or changed else 0)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (OUT / name).unlink()
    for name in changed:
        (OUT / name).write_text(files[name])


if __name__ == "__main__":
    main()

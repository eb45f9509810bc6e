#include "server/cli/terminal/output.h"

#include <doctest/doctest.h>

#include "http/json/value.h"
#include "server/cli/commands.h"
#include "server/cli/generate.h"
#include "server/cli/terminal/progress.h"
#include "server/cli/verbs/record_format.h"

namespace polylog::server {
namespace {

TEST_CASE("output: columns are as wide as they need to be, and numbers stand flush right") {
  TextTable table({"NAME", "COUNT"});
  table.add({"grün", "7"});
  table.add({"b", "-"});
  table.add({"a\x1b[2J", "12345678"});
  CHECK(table.text() ==
        "NAME         COUNT\n"
        "grün             7\n"
        "b                -\n"
        "a\\x1b[2J  12345678\n");
  CHECK(TextTable({"A", "B"}).text() == "A  B\n");
}

TEST_CASE("output: what could drive a terminal is shown, not sent") {
  CHECK(printable("plain grün") == "plain grün");
  CHECK(printable("\x1b[2J\n\x7f") == "\\x1b[2J\\x0a\\x7f");
  CHECK(printable("\xC2\x9B\xFF") == "\\xc2\\x9b\\xff");
}

TEST_CASE("output: sizes and times for people") {
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(1536) == "1.5 KiB");
  CHECK(human_bytes(int64_t{5} << 40) == "5.0 TiB");
  CHECK(human_time(59) == "59s");
  CHECK(human_time(61) == "1m 1s");
  CHECK(human_time(3600) == "1h 0m");
  CHECK(human_time(90'000) == "1d 1h");
}

TEST_CASE("output: progress has a bar where the end is known, and never breaks the line") {
  CHECK(Progress::line("produced", 10, 2048, {}, 2, 79) == "produced 10 records, 2.0 KiB, 5/s");
  CHECK(Progress::line("consumed", 15, 0, 0.5, 1, 79) ==
        "[###############               ]  50%  consumed 15 records, 0 B, 15/s");
  CHECK(Progress::line("consumed", 99, 0, 3.3, 0, 79).starts_with("[##############################] 100%  "));
  CHECK(Progress::line("consumed", 15, 0, 0.5, 1, 20).size() == 20);
}

TEST_CASE("output: records as values, keyed, and JSON") {
  const auto record = http::parse_json(R"({"offset":1,"key":"k","value":{"base64":"G1s="}})");
  CHECK(*line_of(*record, RecordFormat::kValue, false) == "\x1b[\n");
  CHECK(*line_of(*record, RecordFormat::kValue, true) == "\\x1b[\n");
  CHECK(*line_of(*record, RecordFormat::kKeyed, true) == "k\t\\x1b[\n");
  CHECK(*line_of(*record, RecordFormat::kJson, true) == record->to_text() + '\n');
  CHECK(*line_of(*http::parse_json(R"({"key":null,"value":null})"), RecordFormat::kKeyed, false) == "\t\n");
  const auto large = http::parse_json(R"({"key":null,"value":{"omitted_bytes":99}})");
  CHECK(line_of(*large, RecordFormat::kValue, false).error().code == base::ErrorCode::kTooLarge);
  CHECK(line_of(*large, RecordFormat::kJson, false));
  Arguments arguments;
  CHECK(*format_of(arguments, true) == RecordFormat::kJson);
  arguments.slot("--format") = {"keyed"};
  CHECK(*format_of(arguments, true) == RecordFormat::kKeyed);
  arguments.slot("--format") = {"nope"};
  CHECK_FALSE(format_of(arguments, false));
}

TEST_CASE("generated: completions and man pages name every command and option") {
  std::string manuals = *man_page("");
  for (const GroupRow& group : command_groups()) manuals += *man_page(group.name);
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = *completion_script(shell);
    for (const CommandRow& row : commands()) {
      CHECK(script.find(row.verb) != std::string::npos);
      for (const OptionRow& option : row.options) {
        CHECK(script.find(option.name.substr(2)) != std::string::npos);
      }
    }
  }
  for (const CommandRow& row : commands()) {
    CHECK(manuals.find(row.verb) != std::string::npos);
    for (const OptionRow& option : row.options) CHECK(manuals.find(option.name.substr(2, 3)) != std::string::npos);
  }
}

}  // namespace
}  // namespace polylog::server

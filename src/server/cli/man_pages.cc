// Manual pages in roff: polylog(1), and one for each group of commands.
#include <fmt/format.h>

#include <algorithm>

#include "server/cli/commands.h"
#include "server/cli/generate.h"
#include "server/version.h"

namespace polylog::server {
namespace {

// Text that roff shows as it is: nothing in it is an escape, a request or a typographic hyphen.
std::string plain(std::string_view text) {
  std::string escaped;
  if (text.starts_with('.') || text.starts_with('\'')) escaped = "\\&";
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else if (c == '`' || c == '\'') {
      escaped += c == '`' ? "\\(ga" : "\\(aq";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string usage_of(const CommandRow& row) {
  std::string text =
      row.group.empty() ? fmt::format("polylog {}", row.verb) : fmt::format("polylog {} {}", row.group, row.verb);
  for (const OptionRow& positional : row.positionals) {
    const bool listed = positional.type.find('|') != std::string_view::npos;
    const std::string name(listed ? positional.type : positional.name);
    text += positional.required ? ' ' + name : " [" + name + ']';
  }
  for (const OptionRow& option : row.options) {
    if (option.required) text += fmt::format(" {} {}", option.name, option.type);
  }
  return text + (row.options.empty() && row.run == nullptr ? "" : " [options]");
}

std::string option_entry(const OptionRow& option) {
  std::string text = fmt::format(".TP\n.B {}", plain(option.name));
  if (!option.type.empty()) text += fmt::format("\\fR \\fI{}\\fR", plain(option.type));
  return text + '\n' + plain(option.help) + (option.repeated ? ". May be given several times.\n" : ".\n");
}

std::string command_entry(const CommandRow& row) {
  std::string text = fmt::format(".SS {}\n{}.\n", plain(usage_of(row)), plain(row.help));
  if (!row.more.empty()) text += fmt::format(".PP\n{}\n", plain(row.more));
  for (const OptionRow& option : row.options) text += option_entry(option);
  return text;
}

std::string header(std::string_view title, std::string_view help) {
  std::string upper(title);
  std::ranges::transform(upper, upper.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return fmt::format(".TH {} 1 \"\" \"polylog {}\" \"polylog manual\"\n.SH NAME\n{} \\- {}\n", plain(upper), kVersion,
                     plain(title), plain(help));
}

std::string sections_of(std::string_view group) {
  std::string synopsis = ".SH SYNOPSIS\n.nf\n", described = ".SH COMMANDS\n";
  for (const CommandRow& row : commands()) {
    if (row.group != group) continue;
    synopsis += plain(usage_of(row)) + '\n';
    described += command_entry(row);
  }
  if (group.empty()) {
    for (const GroupRow& row : command_groups()) {
      synopsis += plain(fmt::format("polylog {} VERB ...", row.name)) + '\n';
      described += fmt::format(".SS {}\n{}: see\n.BR polylog\\-{} (1).\n",
                               plain(fmt::format("polylog {} VERB", row.name)), plain(row.help), row.name);
    }
  }
  return synopsis + ".fi\n" + described;
}

std::string common_sections() {
  std::string text = ".SH OPTIONS OF COMMANDS THAT ASK A BROKER\n";
  for (const OptionRow& option : common_options()) text += option_entry(option);
  text +=
      ".SH ENVIRONMENT\n.TP\n.B POLYLOG_ADMIN\nThe broker\\(aqs admin listener, as HOST:PORT, for commands without "
      "\\-\\-admin.\n";
  text +=
      ".SH EXIT STATUS\n.TP\n.B 0\nIt worked.\n.TP\n.B 1\nIt did not; standard error has one line that says why.\n"
      ".TP\n.B 2\nAn argument or a setting is wrong.\n";
  return text;
}

std::string see_also(std::string_view group) {
  std::string text = ".SH SEE ALSO\n";
  if (!group.empty()) text += ".BR polylog (1)\n";
  for (const GroupRow& row : command_groups()) {
    if (row.name != group) text += fmt::format(".BR polylog\\-{} (1)\n", row.name);
  }
  return text;
}

}  // namespace

base::Result<std::string> man_page(std::string_view group) {
  if (group.empty()) {
    return header("polylog", "one durable log that Kafka and AMQP clients share") + sections_of(group) +
           common_sections() + see_also(group);
  }
  const auto row = std::ranges::find(command_groups(), group, &GroupRow::name);
  if (row == command_groups().end()) {
    return base::fail(base::ErrorCode::kInvalid, fmt::format("man: '{}' is no group of commands", group));
  }
  return header(fmt::format("polylog-{}", group), row->help) + sections_of(group) + common_sections() + see_also(group);
}

}  // namespace polylog::server

// Completion scripts. bash and zsh share their shape: the words before the cursor that are no options name a place in the
// table ("stream list"), and for each place there is a list of words; an option with listed values has these.
#include <fmt/format.h>

#include <map>
#include <vector>

#include "server/cli/commands.h"
#include "server/cli/generate.h"

namespace polylog::server {
namespace {

using Words = std::vector<std::string>;

Words choices_of(const OptionRow& option) {
  Words words;
  if (option.type.find('|') == std::string_view::npos) return words;
  for (size_t at = 0; at <= option.type.size();) {
    const size_t end = std::min(option.type.find('|', at), option.type.size());
    words.emplace_back(option.type.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::string place_of(const CommandRow& row) {
  return row.group.empty() ? std::string(row.verb) : fmt::format("{} {}", row.group, row.verb);
}

template <typename Visit>
void for_each_option(const CommandRow& row, Visit visit) {
  for (const OptionRow& option : row.options) visit(option);
  if (!row.asks_broker()) return;
  for (const OptionRow& option : common_options()) visit(option);
}

// What may come at each place.
std::map<std::string, Words> words_by_place() {
  std::map<std::string, Words> places;
  places[""] = {"--help", "--version"};
  for (const GroupRow& group : command_groups()) {
    places[""].emplace_back(group.name);
    places[std::string(group.name)] = {"--help"};
  }
  for (const CommandRow& row : commands()) {
    places[std::string(row.group)].emplace_back(row.verb);
    Words& words = places[place_of(row)];
    words = {"--help"};
    for (const OptionRow& positional : row.positionals) {
      for (std::string& choice : choices_of(positional)) words.push_back(std::move(choice));
    }
    for_each_option(row, [&](const OptionRow& option) { words.emplace_back(option.name); });
  }
  return places;
}

std::string cases_of_places(std::string_view indent) {
  std::string text;
  for (const auto& [place, words] : words_by_place()) {
    text += fmt::format("{}\"{}\") words=\"{}\" ;;\n", indent, place, fmt::join(words, " "));
  }
  return text;
}

// "stream consume --format": the option's values; of an option with free values, nothing.
std::string cases_of_values(std::string_view indent) {
  std::string text;
  for (const CommandRow& row : commands()) {
    for_each_option(row, [&](const OptionRow& option) {
      if (option.type.empty()) return;
      text += fmt::format("{}\"{} {}\") words=\"{}\"; value=1 ;;\n", indent, place_of(row), option.name,
                          fmt::join(choices_of(option), " "));
    });
  }
  return text;
}

// Both shells: sets `words` for the words in $typed and the one before the cursor in $previous.
std::string choose_words(std::string_view first_word) {
  std::string text;
  text += fmt::format("  local place=\"\" words=\"\" value=\"\" word i depth=0\n");
  text += fmt::format("  for ((i = {}; i < count; i++)); do\n", first_word);
  text += "    word=\"${typed[i]}\"\n";
  text += "    [[ \"$word\" == -* || $depth -ge 2 ]] && continue\n";
  text += "    case \"$depth $word\" in\n";
  std::string groups;
  for (const GroupRow& group : command_groups())
    groups += fmt::format("{}\"0 {}\"", groups.empty() ? "" : "|", group.name);
  text += fmt::format("      {}) place=\"$word\"; depth=1 ;;\n", groups);
  text += "      *) place=\"${place:+$place }$word\"; depth=2 ;;\n";
  text += "    esac\n  done\n";
  text += "  case \"$place\" in\n" + cases_of_places("    ") + "  esac\n";
  text += "  case \"$place $previous\" in\n" + cases_of_values("    ") + "  esac\n";
  return text;
}

std::string bash_script() {
  return "# polylog completion for bash: source it, or put it into /etc/bash_completion.d\n"
         "_polylog() {\n"
         "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\" count=$COMP_CWORD\n"
         "  local typed=(\"${COMP_WORDS[@]}\")\n" +
         choose_words("1") +
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "}\n"
         "complete -o default -F _polylog polylog\n";
}

std::string zsh_script() {
  return "#compdef polylog\n"
         "# polylog completion for zsh: put it into a directory of $fpath as _polylog\n"
         "_polylog() {\n"
         "  local current=\"${words[CURRENT]}\" previous=\"${words[CURRENT-1]}\" count=$CURRENT\n"
         "  local -a typed=(\"${words[@]}\")\n" +
         choose_words("2") +
         "  if [[ -n \"$value\" && -z \"$words\" ]]; then _files; else compadd -- ${=words}; fi\n"
         "}\n"
         "compdef _polylog polylog\n";
}

std::string fish_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' || c == '\\' ? std::string{'\\', c} : std::string{c};
  return quoted + "'";
}

std::string fish_option(const std::string& condition, const OptionRow& option) {
  std::string line =
      fmt::format("complete -c polylog -n {} -l {} -d {}", condition, option.name.substr(2), fish_quoted(option.help));
  const Words choices = choices_of(option);
  if (!choices.empty()) line += fmt::format(" -x -a '{}'", fmt::join(choices, " "));
  if (choices.empty() && !option.type.empty()) line += " -r";
  return line + '\n';
}

std::string fish_script() {
  std::string text =
      "# polylog completion for fish: put it into ~/.config/fish/completions/polylog.fish\n"
      "complete -c polylog -f\n";
  Words tops;
  for (const GroupRow& group : command_groups()) {
    tops.emplace_back(group.name);
    text +=
        fmt::format("complete -c polylog -n __fish_use_subcommand -a {} -d {}\n", group.name, fish_quoted(group.help));
  }
  for (const CommandRow& row : commands()) {
    std::string before = "__fish_use_subcommand";
    if (!row.group.empty()) {
      Words verbs;
      for (const CommandRow& other : commands()) {
        if (other.group == row.group) verbs.emplace_back(other.verb);
      }
      before = fmt::format("'__fish_seen_subcommand_from {}; and not __fish_seen_subcommand_from {}'", row.group,
                           fmt::join(verbs, " "));
    }
    text += fmt::format("complete -c polylog -n {} -a {} -d {}\n", before, row.verb, fish_quoted(row.help));
    const std::string inside =
        row.group.empty()
            ? fmt::format("'__fish_seen_subcommand_from {}'", row.verb)
            : fmt::format("'__fish_seen_subcommand_from {}; and __fish_seen_subcommand_from {}'", row.group, row.verb);
    for (const OptionRow& positional : row.positionals) {
      const Words choices = choices_of(positional);
      if (!choices.empty()) text += fmt::format("complete -c polylog -n {} -a '{}'\n", inside, fmt::join(choices, " "));
    }
    for_each_option(row, [&](const OptionRow& option) { text += fish_option(inside, option); });
  }
  return text;
}

}  // namespace

base::Result<std::string> completion_script(std::string_view shell) {
  if (shell == "bash") return bash_script();
  if (shell == "zsh") return zsh_script();
  if (shell == "fish") return fish_script();
  return base::fail(base::ErrorCode::kInvalid, fmt::format("completion: '{}' is not bash, zsh or fish", shell));
}

}  // namespace polylog::server

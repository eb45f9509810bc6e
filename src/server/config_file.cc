#include "server/config_file.h"

#include <toml++/toml.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "server/settings.h"

namespace polylog::server {

namespace {

using base::ErrorCode;

// The value as --set would be given it.
base::Result<std::string> text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  const auto* list = node.as_array();
  if (list == nullptr) return base::fail(ErrorCode::kInvalid, "write a string, a whole number, true or false");
  std::string joined;
  for (const toml::node& item : *list) {
    if (!item.is_string()) return base::fail(ErrorCode::kInvalid, "a list holds strings");
    if (!joined.empty()) joined += ',';
    joined += item.as_string()->get();
  }
  return joined;
}

base::Result<> apply_table(Config& config, const toml::table& table, const std::string& prefix, std::string_view name) {
  for (const auto& [key, node] : table) {
    const std::string full_key = prefix + std::string(key.str());
    if (const auto* inner = node.as_table()) {
      TRY(apply_table(config, *inner, full_key + '.', name));
      continue;
    }
    const auto text = text_of(node);
    const auto applied = text ? apply(config, full_key, *text) : std::unexpected(text.error());
    if (applied) {
      config.sources[full_key] = "file " + std::string(name);
      continue;
    }
    std::string where = std::string(name) + ':' + std::to_string(node.source().begin.line) + ": ";
    if (!text) where += full_key + ": ";
    return base::fail(applied.error().code, where + applied.error().text);
  }
  return {};
}

}  // namespace

base::Result<> load_toml(Config& config, std::string_view text, std::string_view name) {
  try {
    const toml::table table = toml::parse(text);
    return apply_table(config, table, "", name);
  } catch (const toml::parse_error& error) {
    return base::fail(ErrorCode::kMalformed, std::string(name) + ':' + std::to_string(error.source().begin.line) +
                                                 ": not valid TOML: " + std::string(error.description()));
  }
}

base::Result<> load_file(Config& config, const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  std::string text;
  char block[4096];
  while (file != nullptr) {
    const size_t got = std::fread(block, 1, sizeof block, file.get());
    text.append(block, got);
    if (got < sizeof block) break;
  }
  if (file == nullptr || std::ferror(file.get()) != 0) {
    return base::fail(ErrorCode::kNotFound, "cannot read the configuration file " + path + ": " + std::strerror(errno));
  }
  return load_toml(config, text, path);
}

}  // namespace polylog::server

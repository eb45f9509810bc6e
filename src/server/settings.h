// The table of settings: one row a setting, from which file, --set, command line flags and `polylog settings` derive.
//
// A value is text: a size is plain bytes or has a suffix (4KiB, 400MiB, 2GiB), a time is a plain number in the unit that
// the key ends in. In a TOML file a dotted key is a table's member, [kafka] num_partitions = 3, or is quoted whole, as
// "durability.interval_ms" = 50 has to be beside durability = "interval".
// Not for: changing anything while the broker runs.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "server/config.h"

namespace polylog::server {

// How a row reaches its field. The type says how the text is read.
using Flag = bool& (*)(Config&);
using Text = std::string& (*)(Config&);
using Number16 = uint16_t& (*)(Config&);
using Number32 = uint32_t& (*)(Config&);
using Number64 = uint64_t& (*)(Config&);
using DurabilityChoice = Durability& (*)(Config&);
using IoChoice = StorageIo& (*)(Config&);
using LevelChoice = base::LogLevel& (*)(Config&);
using FormatChoice = base::LogFormat& (*)(Config&);
using Addresses = std::vector<ProtocolAddress>& (*)(Config&);
using Field = std::variant<Flag, Text, Number16, Number32, Number64, DurabilityChoice, IoChoice, LevelChoice,
                           FormatChoice, Addresses>;

struct Range {
  uint64_t min = 0;
  uint64_t max = 0;
  bool zero_is_auto = false;  // 0 is allowed besides min..max
  uint64_t multiple_of = 1;
};

struct Setting {
  std::string_view key;
  Field field;
  Range range;  // of numbers
  std::string_view help;
};

std::span<const Setting> settings();

// Errors are one line that says what to do.
base::Result<> apply(Config& config, std::string_view key, std::string_view value);
base::Result<> apply_assignment(Config& config, std::string_view assignment);  // "key=value"

// The value as apply() would read it.
std::string value_text(const Setting& setting, const Config& config);
std::string list_settings();  // for people: key, default, allowed values, help
// A TOML file of all settings, commented out at their defaults; those that `config` has otherwise are set.
std::string settings_toml(const Config& config);

}  // namespace polylog::server

#include <cstdio>
#include <cstdlib>

#include "server/cli/command_line.h"
#include "server/cli/verbs/context.h"

namespace polylog::server {
namespace {

constexpr const char* kDefaultAdmin = "127.0.0.1:7400";

std::string admin_address(const Arguments& arguments) {
  if (const auto flag = arguments.text("--admin")) return *flag;
  const char* from_environment = std::getenv("POLYLOG_ADMIN");
  return from_environment != nullptr && *from_environment != '\0' ? from_environment : kDefaultAdmin;
}

}  // namespace

int run_command(const Command& command) {
  Context context{.arguments = command.arguments,
                  .client = AdminClient(admin_address(command.arguments)),
                  .json = command.arguments.has("--json")};
  const auto done = command.row->run(context);
  if (done) return 0;
  std::fprintf(stderr, "polylog: %s\n", printable(done.error().text).c_str());
  return done.error().code == base::ErrorCode::kInvalid ? kExitUsage : kExitFailure;
}

}  // namespace polylog::server

// The table of what the admin listener answers: one row a method and path. Dispatch, 405's Allow, the index of the API and
// the test against docs/admin-api.yaml derive from it.
#pragma once

#include <span>
#include <string_view>

#include "server/admin/call.h"

namespace polylog::server {

using AdminHandler = Task<Response> (*)(Call& call);

struct Route {
  std::string_view method;
  std::string_view path;  // "{name}" stands for any one segment
  AdminHandler answer;
  std::string_view help;
};
std::span<const Route> routes();

// Fills in the call's names and query. Null: `refusal` says why.
const Route* find_route(Call& call, Response& refusal);

// --- the handlers, by file of resources/
Task<Response> page_index(Call& call);  // pages.cc
Task<Response> page_health(Call& call);
Task<Response> page_ready(Call& call);
Task<Response> page_metrics(Call& call);
Task<Response> api_index(Call& call);
Task<Response> list_streams(Call& call);  // streams.cc
Task<Response> get_stream(Call& call);
Task<Response> create_stream(Call& call);
Task<Response> alter_stream(Call& call);
Task<Response> delete_stream(Call& call);
Task<Response> read_records(Call& call);  // records.cc
Task<Response> produce_records(Call& call);
Task<Response> list_queues(Call& call);  // queues.cc
Task<Response> get_queue(Call& call);
Task<Response> peek_queue(Call& call);
Task<Response> purge_queue(Call& call);
Task<Response> delete_queue(Call& call);
Task<Response> list_groups(Call& call);  // groups.cc
Task<Response> get_group(Call& call);
Task<Response> reset_group(Call& call);
Task<Response> delete_group(Call& call);
Task<Response> get_status(Call& call);  // node_status.cc
Task<Response> list_cells(Call& call);
Task<Response> list_connections(Call& call);
Task<Response> get_config(Call& call);

}  // namespace polylog::server

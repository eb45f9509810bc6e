// The queues of a run on an AMQP 0-9-1 server: one is called NAME, of several each NAME-0, NAME-1 ...
#pragma once

#include <memory>
#include <string>

#include "load/amqp/links.h"
#include "load/target.h"

namespace polylog::load::amqp {

std::unique_ptr<Target> make_target(Address address, const Login& login, const QueueKind& kind, const std::string& name,
                                    const Plan& plan);

}  // namespace polylog::load::amqp
